"""The library's class for a configuration: text models, then releases that also see or hear; in the isolated process only."""

from __future__ import annotations

from typing import Any

from harness.errors import IncompatibleCandidate

#: In this order: a text model where there is one, so that towers nobody runs here are not loaded.
_AUTO_CLASSES = (
    "AutoModelForCausalLM", "AutoModelForImageTextToText", "AutoModelForMultimodalLM", "AutoModelForSpeechSeq2Seq",
)  # fmt: skip


def auto_class(config: Any) -> Any:
    """A class with ``from_pretrained`` that writes text; raises IncompatibleCandidate by the architecture's name.

    Where no auto class knows the configuration (some audio models), the class that it names is taken from the library.
    """
    import transformers  # noqa: PLC0415

    for name in _AUTO_CLASSES:
        auto = getattr(transformers, name, None)
        if auto is not None and type(config) in auto._model_mapping:
            return auto
    named = (getattr(config, "architectures", None) or [""])[0]
    found: Any = getattr(transformers, str(named), None)
    known = isinstance(found, type) and issubclass(found, transformers.PreTrainedModel)
    if known and found.can_generate():
        return found
    raise IncompatibleCandidate(
        f"{named or type(config).__name__} is no architecture of which transformers {transformers.__version__} can write text",
        fix="compare a release of this model whose architecture it knows",
    )

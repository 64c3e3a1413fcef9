"""From a specification to a model in memory; runs in the isolated process only."""

from __future__ import annotations

import gc
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from harness.errors import BrokenCheckpoint, MissingExtra, UnsafeCheckpoint
from harness.processors import threads_for
from harness.targets.checkpoint import narrow_products
from harness.targets.checkpoint.auto_class import auto_class
from harness.targets.checkpoint.fake_quant import apply_rounding
from harness.targets.checkpoint.formats.dense import DenseCheckpoint, LazyTensor, dense_reference
from harness.targets.checkpoint.formats.unused import judge_unused
from harness.targets.checkpoint.gguf_types import apply_types
from harness.targets.checkpoint.head import Head, find_head
from harness.targets.checkpoint.kv_cache import round_cache_of
from harness.targets.checkpoint.rope_state import forget_lengths
from harness.targets.spec import GGUF_TYPES, TargetSpec

_TORCH_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_STORED_DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
_EXTRAS = {"bitsandbytes": "bitsandbytes", "gguf": "gguf", "accelerate": "local"}
_LOADER_ERRORS = (OSError, ValueError, RuntimeError, KeyError, AttributeError, TypeError)


@dataclass(slots=True)
class Loaded:
    """A model ready to score. ``head`` is None where the head cannot be replayed apart from the model."""

    spec: TargetSpec
    model: Any
    head: Head | None
    changed: int  # matrices rounded by us
    shares: bool | None = None  # whether an opening can be computed once for several continuations; None: not tried
    unused: tuple[str, ...] = field(default=())  # what of the files the model does not use, in words

    @property
    def vocabulary(self) -> int:
        """Number of ids that the model scores, padding included."""
        return self.head.vocabulary if self.head else int(self.model.config.get_text_config().vocab_size)


def load(spec: TargetSpec) -> Loaded:
    """Load a model and prove its head."""
    torch.set_num_threads(threads_for(spec.runtime.threads))
    return proved(spec, *load_model(spec))


def proved(spec: TargetSpec, model: Any, changed: int) -> Loaded:
    """Prove the head of a model that has not run yet; ``changed`` is the number of matrices that were rounded by us."""
    narrow_products.widen()
    try:
        head = find_head(model)
    except ImportError as error:
        raise _missing_extra(error) from error
    except Exception as error:
        raise BrokenCheckpoint(
            f"this checkpoint loads but does not run here: {type(error).__name__}: {str(error)[:200]}", where=spec.base
        ) from error
    gc.collect()
    return Loaded(spec, model, head, changed, unused=getattr(model, "fidelity_unused", ()))


def load_model(spec: TargetSpec) -> tuple[Any, int]:
    """Load and, where the specification says so, quantize; refuses incomplete and non-finite weights.

    Returns the model, which has not run yet, and the number of matrices that were rounded by us. What of the files it
    does not use is told in words as its ``fidelity_unused``.
    """
    model = _from_gguf(spec) if spec.in_gguf else _from_folder(spec)
    model.eval()
    model.requires_grad_(False)  # noqa: FBT003
    forget_lengths(model)
    changed = 0
    if spec.kind == "ggufq" and spec.detail not in GGUF_TYPES:
        changed = apply_types(model, spec.detail)
    elif spec.kind in {"rtn", "fp8", "mx", "ggufq", "bnb"}:
        changed = apply_rounding(model, spec.kind, spec.detail)
    _refuse_non_finite(model)
    if spec.kind == "kv":
        round_cache_of(model, spec.detail)
    return model, changed


def _from_folder(spec: TargetSpec) -> Any:
    """A model from dense weights, whatever format the folder is in; adapters and code beside them are not touched."""
    folder = Path(spec.base)
    dense = dense_reference(folder)
    if spec.kind == "gptq" and not (dense.plan.format and dense.plan.format.name in {"GPTQ", "AutoRound"}):
        raise BrokenCheckpoint(
            "this is not a GPTQ checkpoint: neither config.json nor quantize_config.json declares one",
            where=spec.base,
            fix="for other formats give the folder without the gptq: prefix",
        )
    config = configuration(spec)
    options = _options(spec, _dtype(spec, config, dense))
    state = dense.lazily()
    try:
        config, model_class = class_of(config, spec)
        model, info = model_class.from_pretrained(None, config=config, state_dict=state, **options)
    except ImportError as error:
        raise _missing_extra(error) from error
    except _LOADER_ERRORS as error:
        raise _unloadable(error, spec) from error
    _refuse_incomplete(info, state, spec.base)
    model.fidelity_unused = judge_unused(_unused(state), dense, model, spec.base)
    dense.close()
    model.generation_config = _generation(model, folder)
    return model


def configuration(spec: TargetSpec) -> Any:
    """The folder's configuration without its quantization, by the library's own classes only."""
    from transformers import AutoConfig  # noqa: PLC0415

    try:
        config = AutoConfig.from_pretrained(spec.base, trust_remote_code=False, local_files_only=True)
    except ImportError as error:
        raise _missing_extra(error) from error
    except _LOADER_ERRORS as error:
        if "trust_remote_code" in str(error):
            raise UnsafeCheckpoint(
                "config.json asks the loader to use code of its own (auto_map)",
                where=spec.base,
                fix="remote code is never run here; use a release that the transformers library supports natively",
            ) from error
        raise _unloadable(error, spec) from error
    for part in (config, config.get_text_config()):
        for name in ("quantization_config", "compression_config", "quantization"):
            if hasattr(part, name):
                delattr(part, name)
    return config


def class_of(config: Any, spec: TargetSpec) -> tuple[Any, Any]:
    """The class of the model and the configuration that it takes: its own, or that of the text model inside."""
    from transformers import PreTrainedModel  # noqa: PLC0415

    auto = auto_class(config)
    with torch.device("meta"):
        make = (
            getattr(auto, "from_config", None) or auto._from_config
        )  # a class of its own, where no auto class knows it
        built = make(config)
    if not isinstance(built, PreTrainedModel):
        raise BrokenCheckpoint("the library builds no model of this configuration", where=spec.base)
    inner = config if isinstance(config, type(built.config)) else config.get_text_config()
    return inner, type(built)


def _dtype(spec: TargetSpec, config: Any, dense: DenseCheckpoint) -> torch.dtype:
    """The number format to compute in: what was asked for, else what the configuration or the file says."""
    if spec.kind == "dtype":
        return _TORCH_DTYPES[spec.detail]
    if spec.runtime.dtype in _TORCH_DTYPES:
        return _TORCH_DTYPES[spec.runtime.dtype]
    if spec.kind == "bnb":
        return torch.bfloat16
    if spec.kind == "gptq":
        return torch.float32
    declared = getattr(config, "dtype", None) or getattr(config.get_text_config(), "dtype", None)
    if isinstance(declared, torch.dtype) and declared in _STORED_DTYPES.values():
        return declared
    sizes: dict[torch.dtype, int] = {}
    for name in dense.plan.plain:
        entry = dense.files.entries[name]
        if entry.dtype in _STORED_DTYPES:
            kind = _STORED_DTYPES[entry.dtype]
            sizes[kind] = sizes.get(kind, 0) + entry.count
    return max(sizes, key=lambda kind: sizes[kind]) if sizes else torch.float32


def _options(spec: TargetSpec, dtype: torch.dtype) -> dict[str, Any]:
    options: dict[str, Any] = {"output_loading_info": True, "dtype": dtype}
    if spec.runtime.attention != "auto":
        options["attn_implementation"] = spec.runtime.attention
    if spec.runtime.device != "cpu":
        options["device_map"] = spec.runtime.device
    if spec.kind == "bnb":
        options |= _bitsandbytes(spec, dtype)
    return options


def _generation(model: Any, folder: Path) -> Any:
    """The folder's generation settings, or those that the configuration implies."""
    from transformers import GenerationConfig  # noqa: PLC0415

    if not (folder / "generation_config.json").is_file():
        return model.generation_config
    try:
        return GenerationConfig.from_pretrained(str(folder), local_files_only=True)
    except _LOADER_ERRORS:  # settings that the library refuses; its own loader goes on without them, too
        return model.generation_config


def _from_gguf(spec: TargetSpec) -> Any:
    """A GGUF file, or the dense weights of one from which a copy is built."""
    from harness.targets.checkpoint.gguf_loading import load_gguf  # noqa: PLC0415

    wanted = spec.detail if spec.kind == "dtype" else spec.runtime.dtype
    return load_gguf(Path(spec.base), _TORCH_DTYPES.get(wanted), spec.runtime)


def _bitsandbytes(spec: TargetSpec, dtype: torch.dtype) -> dict[str, Any]:
    try:
        import bitsandbytes  # noqa: F401, PLC0415
    except ImportError as error:
        raise _missing_extra(error) from error
    from transformers import BitsAndBytesConfig  # noqa: PLC0415

    if spec.detail == "int8":
        config = BitsAndBytesConfig(load_in_8bit=True)
    else:
        config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type=spec.detail, bnb_4bit_compute_dtype=dtype)
    return {"quantization_config": config, "device_map": spec.runtime.device}


def _missing_extra(error: ImportError) -> MissingExtra:
    text = str(error)
    name = next((extra for module, extra in _EXTRAS.items() if module in text.replace("-", "_")), "")
    fix = f"pip install 'fidelity-harness[{name}]'" if name else "install the package that it names"
    return MissingExtra(f"this checkpoint needs a package that is not installed: {text.splitlines()[0][:200]}", fix=fix)


def _unloadable(error: Exception, spec: TargetSpec) -> BrokenCheckpoint:
    text = str(error).strip()
    fix = "check that config.json belongs to these weights"
    if "does not recognize this architecture" in text:
        fix = "a newer transformers library may know it: pip install -U transformers"
    return BrokenCheckpoint(
        f"transformers cannot load this checkpoint: {text.splitlines()[0][:300] if text else type(error).__name__}",
        where=spec.base,
        fix=fix,
    )


def _unused(state: dict[str, LazyTensor]) -> list[str]:
    return [name for name, tensor in state.items() if not tensor.read]


def _refuse_incomplete(info: dict[str, Any], state: dict[str, LazyTensor], where: str) -> None:
    missing = sorted(info.get("missing_keys") or ())
    mismatched = sorted(str(entry[0]) for entry in info.get("mismatched_keys") or ())
    if not missing and not mismatched:
        return
    names = ", ".join((missing + mismatched)[:3])
    unknown = _unused(state)
    if mismatched and not missing:
        fix = "config.json tells another size than the file has; take both from the same release"
    elif len(unknown) >= len(missing):
        fix = (
            f"the file has other names ({', '.join(sorted(unknown)[:2])}, ...): config.json names another architecture "
            "than these weights are of, or they were renamed; take both from the same release"
        )
    else:
        fix = "transformers would fill them with random numbers; fetch the complete checkpoint"
    raise BrokenCheckpoint(
        f"{len(missing) + len(mismatched)} weights are missing or of the wrong shape ({names}, ...)",
        where=where,
        fix=fix,
    )


def _refuse_non_finite(model: Any) -> None:
    for name, parameter in model.named_parameters():
        plain = parameter.dtype.is_floating_point and parameter.element_size() > 1 and parameter.numel()
        if plain and not bool(torch.isfinite(torch.stack(torch.aminmax(parameter))).all()):
            raise BrokenCheckpoint(
                f"the weights hold NaN or infinite values, first in {name}",
                fix="the file is damaged or was quantized with an overflow; no score of it would mean anything",
            )

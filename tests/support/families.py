"""Tiny random checkpoints of 120 model families behind the toy's tokenizer, as the library saves them, in bf16.

``tests/data/families.json`` holds model type and fields of each: dense models, mixtures of experts, state-space and hybrid
models, and releases that also see or hear (``wraps``).
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.toy import edit_tensors, make_toy

_DATA = Path(__file__).parents[1] / "data" / "families.json"
#: Parameters with a meaning of their own, which random numbers of another size would break.
_AS_BORN = ("A_log", "conv", "dt_bias", "time_", "rotary", "inv_freq")


@cache
def families() -> dict[str, dict[str, Any]]:
    """Model type and fields by name."""
    return json.loads(_DATA.read_text(encoding="utf-8"))


def family_model(name: str, seed: int = 0) -> Any:
    """A model of a family with weights of a size that gives every layer a say."""
    import torch
    from transformers import AutoConfig

    family = families()[name]
    torch.manual_seed(seed)
    config = AutoConfig.for_model(family["model_type"], **family["fields"])
    for part in [config, *(value for value in vars(config).values() if hasattr(value, "to_dict"))]:
        for field, number in (("bos_token_id", 256), ("eos_token_id", 257), ("pad_token_id", 257)):
            if hasattr(part, field):
                setattr(part, field, number)
    model = _class_of(config, name)(config)
    generator = torch.Generator().manual_seed(7 + seed)
    embedding, head = (
        getattr(m, "weight", None) for m in (model.get_input_embeddings(), model.get_output_embeddings())
    )
    with torch.no_grad():
        for own, parameter in model.named_parameters():
            if any(part in own for part in _AS_BORN):
                continue
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim < 2:
                parameter.add_(0.05 * noise if "norm" in own else 0.0 * noise)
            elif parameter is embedding:
                parameter.copy_((0.4 if head is None or head is embedding else 1.0) * noise)
            elif parameter is head:
                parameter.copy_(3.0 / 8.0 * noise)
            else:
                parameter.copy_(noise / math.sqrt(64 if parameter.ndim == 3 else parameter.shape[-1]))
    model = model.to(torch.bfloat16)
    model.generation_config.eos_token_id = model.generation_config.pad_token_id = 257
    model.generation_config.bos_token_id = 256
    return model


def _class_of(config: Any, name: str) -> Any:
    import transformers

    for auto in ("AutoModelForCausalLM", "AutoModelForImageTextToText", "AutoModelForMultimodalLM"):
        mapping = getattr(transformers, auto)._model_mapping
        if type(config) in mapping and not (auto == "AutoModelForCausalLM" and _is_whole(config)):
            found = mapping[type(config)]
            return found[0] if isinstance(found, tuple) else found
    heard = {"qwen2_audio": "Qwen2AudioForConditionalGeneration", "voxtral": "VoxtralForConditionalGeneration"}
    return getattr(transformers, heard[name])


def _is_whole(config: Any) -> bool:
    """Whether a release that also sees has a class of its own, beside the text model that the library would take."""
    import transformers

    return type(config) in transformers.AutoModelForImageTextToText._model_mapping


def make_family(folder: Path, name: str, seed: int = 0) -> Path:
    """Write a tiny checkpoint of a family."""
    model = family_model(name, seed)
    make_toy(folder)
    for file in ("config.json", "generation_config.json", "model.safetensors"):
        (folder / file).unlink(missing_ok=True)
    model.save_pretrained(folder)
    return folder


def copy_with(source: Path, folder: Path, change: Callable[[str, Any], Any]) -> Path:
    """A copy of a checkpoint whose tensors went through ``change(name, tensor)``."""
    shutil.copytree(source, folder)
    edit_tensors(folder, change)
    return folder


def make_text_part(source: Path, folder: Path) -> Path:
    """The text model of Gemma 3's whole release, saved alone."""
    import torch
    from transformers import Gemma3Config, Gemma3ForCausalLM, Gemma3ForConditionalGeneration

    make_toy(folder)
    for name in ("config.json", "generation_config.json", "model.safetensors"):
        (folder / name).unlink()
    whole = Gemma3ForConditionalGeneration.from_pretrained(source, dtype=torch.bfloat16)
    text = Gemma3ForCausalLM(Gemma3Config.from_pretrained(source).text_config).to(torch.bfloat16)
    inner = {f"model.{name}": value for name, value in whole.model.language_model.state_dict().items()}
    text.load_state_dict(inner | {"lm_head.weight": whole.lm_head.weight}, strict=False)
    text.tie_weights()
    text.save_pretrained(folder)
    return folder

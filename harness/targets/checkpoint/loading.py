"""From a specification to a model in memory; runs in the isolated process only."""

from __future__ import annotations

import gc
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from harness.errors import BrokenCheckpoint, IncompatibleCandidate, MissingExtra
from harness.targets.checkpoint import narrow_products
from harness.targets.checkpoint.fake_quant import apply_rounding
from harness.targets.checkpoint.gguf_types import apply_types
from harness.targets.checkpoint.head import Head, find_head
from harness.targets.checkpoint.kv_cache import attention_with
from harness.targets.spec import GGUF_TYPES, TargetSpec

_TORCH_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_EXTRAS = {
    "bitsandbytes": "bitsandbytes",
    "quanto": "optimum-quanto (pip install optimum-quanto)",  # before optimum, whose name it holds
    "gptqmodel": "gptq",
    "optimum": "gptq",
    "gguf": "gguf",
    "accelerate": "local",
    "compressed_tensors": "compressed-tensors",
    "torchao": "torchao (pip install torchao)",
    "hqq": "hqq (pip install hqq)",
    "aqlm": "aqlm (pip install aqlm[cpu])",
}


@dataclass(slots=True)
class Loaded:
    """A model ready to score. ``head`` is None where the head cannot be replayed apart from the model."""

    spec: TargetSpec
    model: Any
    head: Head | None
    changed: int  # matrices rounded by us
    shares: bool | None = None  # whether an opening can be computed once for several continuations; None: not tried

    @property
    def vocabulary(self) -> int:
        """Number of ids that the model scores, padding included."""
        return self.head.vocabulary if self.head else int(self.model.config.get_text_config().vocab_size)


def load(spec: TargetSpec) -> Loaded:
    """Load a model and prove its head."""
    if spec.runtime.threads:
        torch.set_num_threads(spec.runtime.threads)
    narrow_products.widen()
    model, changed = load_model(spec)
    try:
        head = find_head(model)
    except ImportError as error:
        raise _missing_extra(error) from error
    except Exception as error:
        raise BrokenCheckpoint(
            f"this checkpoint loads but does not run here: {type(error).__name__}: {str(error)[:200]}",
            where=spec.base,
            fix="its quantization may need another device; --device cuda, or give a dequantised copy",
        ) from error
    gc.collect()
    return Loaded(spec, model, head, changed)


def load_model(spec: TargetSpec) -> tuple[Any, int]:
    """Load and, where the specification says so, quantize; refuses incomplete and non-finite weights.

    Returns the model, which has not run yet, and the number of matrices that were rounded by us.
    """
    model = _from_files(spec)
    model.eval()
    model.requires_grad_(False)  # noqa: FBT003
    changed = 0
    if spec.kind == "ggufq" and spec.detail not in GGUF_TYPES:
        changed = apply_types(model, spec.detail)
    elif spec.kind in {"rtn", "fp8", "ggufq"}:
        changed = apply_rounding(model, spec.kind, spec.detail)
    _refuse_non_finite(model)
    return model, changed


def _from_files(spec: TargetSpec) -> Any:
    from transformers import AutoModelForCausalLM  # noqa: PLC0415

    options: dict[str, Any] = {
        "trust_remote_code": False,
        "local_files_only": True,
        "output_loading_info": True,
        "dtype": _TORCH_DTYPES.get(spec.runtime.dtype, "auto"),
    }
    if spec.runtime.attention != "auto":
        options["attn_implementation"] = spec.runtime.attention
    if spec.runtime.device != "cpu":
        options["device_map"] = spec.runtime.device
    folder = spec.base
    if spec.kind == "dtype":
        options["dtype"] = _TORCH_DTYPES[spec.detail]
    elif spec.kind == "kv":
        options["attn_implementation"] = attention_with(spec.detail)
    elif spec.kind == "bnb":
        options |= _bitsandbytes(spec)
    if spec.in_gguf:
        return _from_gguf(spec, options)
    if spec.kind == "gptq":
        from harness.targets.checkpoint.gptq import load_gptq  # noqa: PLC0415

        return load_gptq(Path(spec.base), _TORCH_DTYPES.get(spec.runtime.dtype), spec.runtime)
    options["use_safetensors"] = True
    if spec.kind in {"plain", "dtype"}:
        options |= _unpacked(Path(spec.base))
    try:
        model, info = AutoModelForCausalLM.from_pretrained(folder, **options)
    except ImportError as error:
        raise _missing_extra(error) from error
    except (OSError, ValueError, RuntimeError, KeyError, AttributeError, TypeError) as error:
        raise BrokenCheckpoint(
            f"transformers cannot load this checkpoint: {str(error).strip().splitlines()[0][:300]}",
            where=spec.base,
            fix="check that the download is complete and that config.json belongs to these weights",
        ) from error
    _refuse_incomplete(info, spec.base)
    return model


def _from_gguf(spec: TargetSpec, options: dict[str, Any]) -> Any:
    """A GGUF file, or what is built from one that is the reference."""
    from harness.targets.checkpoint.gguf_loading import load_gguf  # noqa: PLC0415

    if spec.kind == "bnb":
        raise IncompatibleCandidate(
            "bitsandbytes quantizes checkpoint folders, and the reference is a GGUF file",
            fix="give the release's own folder as the reference",
        )
    dtype = options["dtype"] if isinstance(options["dtype"], torch.dtype) else None
    runtime = spec.runtime
    if spec.kind == "kv":
        runtime = replace(runtime, attention=str(options["attn_implementation"]))
    return load_gguf(Path(spec.base), dtype, runtime)


def _unpacked(folder: Path) -> dict[str, Any]:
    """Ask formats that can be unpacked on loading for dense weights: what is judged is their values, not a kernel."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    method = (config.get("quantization_config") or {}).get("quant_method")
    if method == "compressed-tensors":
        from transformers import CompressedTensorsConfig  # noqa: PLC0415

        return {"quantization_config": CompressedTensorsConfig(run_compressed=False)}
    if method == "fp8":
        from transformers import FineGrainedFP8Config  # noqa: PLC0415

        return {"quantization_config": FineGrainedFP8Config(dequantize=True)}
    if method == "mxfp4":
        from transformers import Mxfp4Config  # noqa: PLC0415

        return {"quantization_config": Mxfp4Config(dequantize=True)}
    return {}


def _bitsandbytes(spec: TargetSpec) -> dict[str, Any]:
    try:
        import bitsandbytes  # noqa: F401, PLC0415
    except ImportError as error:
        raise _missing_extra(error) from error
    from transformers import BitsAndBytesConfig  # noqa: PLC0415

    dtype = _TORCH_DTYPES.get(spec.runtime.dtype, torch.bfloat16)
    if spec.detail == "int8":
        config = BitsAndBytesConfig(load_in_8bit=True)
    else:
        config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type=spec.detail, bnb_4bit_compute_dtype=dtype)
    device = spec.runtime.device
    return {"quantization_config": config, "dtype": dtype, "device_map": device}


def _missing_extra(error: ImportError) -> MissingExtra:
    text = str(error)
    name = next((extra for module, extra in _EXTRAS.items() if module in text.replace("-", "_")), "")
    fix = (
        f"pip install 'fidelity-harness[{name}]'" if name and " " not in name else f"install {name or 'what it names'}"
    )
    if name == "gptq":
        fix = f"give it as gptq:PATH, which reads GPTQ's format without further packages; or {fix}"
    return MissingExtra(f"this checkpoint needs a package that is not installed: {text.splitlines()[0][:200]}", fix=fix)


def _refuse_incomplete(info: dict[str, Any], where: str) -> None:
    missing = sorted(info.get("missing_keys") or ())
    mismatched = sorted(str(entry[0]) for entry in info.get("mismatched_keys") or ())
    if missing or mismatched:
        names = ", ".join((missing + mismatched)[:3])
        raise BrokenCheckpoint(
            f"{len(missing) + len(mismatched)} weights are missing or of the wrong shape ({names}, ...)",
            where=where,
            fix="transformers would fill them with random numbers; fetch the complete checkpoint",
        )


def _refuse_non_finite(model: Any) -> None:
    for name, parameter in model.named_parameters():
        plain = parameter.dtype.is_floating_point and parameter.element_size() > 1 and parameter.numel()
        if plain and not bool(torch.isfinite(torch.stack(torch.aminmax(parameter))).all()):
            raise BrokenCheckpoint(
                f"the weights hold NaN or infinite values, first in {name}",
                fix="the file is damaged or was quantized with an overflow; no score of it would mean anything",
            )

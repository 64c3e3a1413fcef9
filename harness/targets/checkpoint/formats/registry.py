"""Which format a declared method is, and which are known by name only."""

from __future__ import annotations

from harness.targets.checkpoint.formats import (
    autoround,
    awq,
    bitnet,
    bitsandbytes,
    compressed_tensors,
    fp8,
    gptq,
    hqq,
    mlx,
    modelopt,
    mxfp4,
    quark,
    torchao,
)
from harness.targets.checkpoint.formats.model import Format, Settings, Stored

_BY_METHOD: dict[str, Format] = {
    "gptq": gptq.FORMAT,
    "awq": awq.FORMAT,
    "auto-round": autoround.FORMAT,
    "compressed-tensors": compressed_tensors.FORMAT,
    "fp8": fp8.FORMAT,
    "fbgemm-fp8": fp8.FORMAT,
    "mxfp8": fp8.FORMAT,
    "modelopt": modelopt.FORMAT,
    "modelopt-fp8": modelopt.FORMAT,
    "modelopt-fp4": modelopt.FORMAT,
    "nvfp4": modelopt.FORMAT,
    "bitsandbytes": bitsandbytes.FORMAT,
    "bitsandbytes-4bit": bitsandbytes.FORMAT,
    "bitsandbytes-8bit": bitsandbytes.FORMAT,
    "torchao": torchao.FORMAT,
    "hqq": hqq.FORMAT,
    "mxfp4": mxfp4.FORMAT,
    "bitnet": bitnet.FORMAT,
    "quark": quark.FORMAT,
}
_ALIASES = {
    "autoround": "auto-round", "intel/auto-round": "auto-round", "gptqmodel": "gptq",
    "compressed_tensors": "compressed-tensors",
}  # fmt: skip

#: Methods that are known and not read: how they are called.
NOT_READ = {
    "aqlm": "AQLM", "vptq": "VPTQ", "spqr": "SpQR", "higgs": "HIGGS", "eetq": "EETQ", "quanto": "quanto",
    "fp-quant": "FP-Quant", "fouroversix": "Four Over Six", "sinq": "SINQ", "metal": "Metal", "gemma": "Gemma's own",
    "exl2": "EXL2", "exl3": "EXL3", "marlin": "Marlin", "squeezellm": "SqueezeLLM", "tpu-int8": "TPU int8", "ipex": "IPEX",
    "qqq": "QQQ", "deepspeedfp": "DeepSpeed FP", "gguf": "GGUF", "bitblas": "BitBLAS", "moe-wna16": "MoE WNA16",
}  # fmt: skip


def method_of(settings: Settings) -> str:
    """The declared method in one spelling; empty where the settings name none."""
    method = str(settings.get("quant_method") or "").lower()
    method = _ALIASES.get(method, method)
    if not method and (settings.get("load_in_4bit") or settings.get("load_in_8bit")):
        return "bitsandbytes"
    return method if method in _BY_METHOD else method.replace("_", "-")


def format_of(settings: Settings) -> Format | None:
    """The format of a declaration, as far as the settings alone tell it; None where it is unknown or not read."""
    method = method_of(settings)
    if method:
        return _BY_METHOD.get(method)
    if "w_bit" in settings or "q_group_size" in settings:
        return awq.FORMAT
    if "quantization" in settings or "quant_algo" in settings:
        return modelopt.FORMAT
    if "desc_act" in settings or "sym" in settings:
        return gptq.FORMAT
    if "bits" in settings and "group_size" in settings:
        return mlx.FORMAT
    return None


def claim_of(settings: Settings) -> str:
    """The precision that settings declare, as ``--claim`` takes it; empty where there is no name for it."""
    found = format_of(settings) if settings else None
    return found.claim(settings) if found else ""


def resolve(stored: Stored, settings: Settings) -> Format | None:
    """The format of a folder, by what its settings name or, where they name none, by its tensors."""
    named = method_of(settings) or {"quantization", "quant_algo", "w_bit"} & set(settings)
    return format_of(settings) if named else _recognised(stored, settings) or format_of(settings)


def _recognised(stored: Stored, settings: Settings) -> Format | None:
    """The format that the tensors show; None where they leave it open."""
    dtypes = {name: entry.dtype for name, entry in stored.entries.items()}
    if any(dtypes.get(f"{layer}.weight") == "U32" for layer in stored.layers(".scales")):
        return mlx.FORMAT
    if any(name.endswith("_qdata") for name in dtypes) and "tensor_names" in stored.metadata:
        return torchao.FORMAT
    if any(bitsandbytes.STATE in name for name in dtypes):
        return bitsandbytes.FORMAT
    if stored.layers(".qweight") and "bits" in settings:
        return awq.FORMAT if {"zero_point", "version"} & set(settings) else gptq.FORMAT
    if any(dtype in fp8.CODES and fp8.scale_of(stored, name) for name, dtype in dtypes.items()):
        return fp8.FORMAT
    return None

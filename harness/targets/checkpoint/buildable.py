"""Whether a copy can be built from a checkpoint at all, before anything rests on it; runs in the isolated process only."""

from __future__ import annotations

import torch

from harness.errors import TargetRefused
from harness.targets.checkpoint.fake_quant import refuse_partial
from harness.targets.checkpoint.loading import class_of, configuration, load_model
from harness.targets.spec import GGUF_TYPES, TargetSpec


def build_problem(spec: TargetSpec) -> str:
    """Why a copy cannot be built, or an empty string.

    Rounded weights are decided by shapes alone, on a model without numbers; a rounded cache, or types that differ from tensor
    to tensor, only by building the copy.
    """
    by_shape = spec.kind in {"rtn", "fp8", "mx", "bnb"} or (spec.kind == "ggufq" and spec.detail in GGUF_TYPES)
    try:
        if by_shape and not spec.in_gguf:
            config, model_class = class_of(configuration(spec), spec)
            with torch.device("meta"):
                refuse_partial(model_class(config), spec.kind, spec.detail)
        elif spec.kind in {"kv", "ggufq"}:
            load_model(spec)
    except TargetRefused as error:
        return error.problem
    return ""

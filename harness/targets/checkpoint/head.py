"""The output head as a thing of its own: final hidden states in, fp32 logits out.

Keeping hidden states and replaying the head is lossless and 50 to 150 times smaller than keeping logits. It is only
right if the head really is what stands between the two, so every head is proved on a probe before it is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Head:
    """``logits = softcap(scale * (hidden @ weight.T + bias))`` in fp32; ``softcap`` 0 means none."""

    weight: Tensor
    bias: Tensor | None
    scale: float
    softcap: float

    @property
    def vocabulary(self) -> int:
        """Number of ids that are scored, padding included."""
        return int(self.weight.shape[0])

    def logits(self, hidden: Tensor, out: Tensor | None = None) -> Tensor:
        """fp32 logits ``[tokens, ids]`` of final hidden states ``[tokens, width]``."""
        z = torch.mm(hidden.to(self.weight.dtype), self.weight.t(), out=out)
        if self.bias is not None:
            z.add_(self.bias)
        if self.scale != 1.0:
            z.mul_(self.scale)
        if self.softcap:
            z.div_(self.softcap).tanh_().mul_(self.softcap)
        return z

    def save(self, path: Path) -> None:
        """Store the head beside cached hidden states; a head that came in bf16 takes no more room than it did."""
        narrow = self.weight.bfloat16()
        lossless = torch.equal(narrow.float(), self.weight)
        tensors = {"weight": (narrow if lossless else self.weight).contiguous().cpu()}
        if self.bias is not None:
            tensors["bias"] = self.bias.contiguous().cpu()
        save_file(tensors, str(path), {"scale": repr(self.scale), "softcap": repr(self.softcap)})

    @classmethod
    def load(cls, path: Path, device: str) -> Head:
        """Read a stored head."""
        with safe_open(str(path), framework="pt", device=device) as stored:
            meta = stored.metadata() or {}
            bias = stored.get_tensor("bias") if "bias" in stored.keys() else None  # noqa: SIM118
            return cls(stored.get_tensor("weight").float(), bias, float(meta["scale"]), float(meta["softcap"]))


def find_head(model: Any) -> Head | None:
    """The model's output head in fp32, or None if replaying it does not reproduce the model's own logits."""
    output = model.get_output_embeddings()
    if output is None or not isinstance(getattr(output, "weight", None), Tensor):
        return None
    if not output.weight.dtype.is_floating_point:
        return None
    config = model.config.get_text_config()
    scale = float(getattr(config, "logit_scale", None) or 1.0)
    if getattr(config, "logits_scaling", None):
        scale /= float(config.logits_scaling)
    bias = getattr(output, "bias", None)
    head = Head(
        weight=output.weight.detach().float(),
        bias=None if bias is None else bias.detach().float(),
        scale=scale,
        softcap=float(getattr(config, "final_logit_softcapping", None) or 0.0),
    )
    return head if _reproduces(model, head) else None


def _reproduces(model: Any, head: Head) -> bool:
    """Compare head(hidden) with the model's own logits on a few ids spread over the vocabulary."""
    step = max(head.vocabulary // 8, 1)
    ids = torch.arange(0, head.vocabulary, step, device=model.device)[None, :8]
    with torch.inference_mode():
        own = model(input_ids=ids, use_cache=False).logits[0].float()
        try:
            hidden = final_hidden(model, ids, None)
        except (AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError):
            return False  # the whole model runs and its body alone does not
    if hidden.shape[-1] != head.weight.shape[1] or not torch.isfinite(own).all():
        return False
    replayed = head.logits(hidden[0])
    coarse = torch.finfo(model.dtype).eps if model.dtype.is_floating_point else 2**-8
    return bool((replayed - own).abs().max() <= max(8 * coarse, 1e-5) * own.abs().max())


def final_hidden(model: Any, ids: Tensor, mask: Tensor | None) -> Tensor:
    """What the head is fed: the last hidden state after the final norm, ``[batch, length, width]``."""
    output = model.base_model(input_ids=ids, attention_mask=mask, use_cache=False)
    return output.last_hidden_state  # type: ignore[no-any-return]

"""A sketch of the reference's next-token distribution: 1.6 KB per token instead of its hidden state and head.

Kept per token: the 256 most likely ids H with their log-probabilities, the exact mass P_T of all other ids T, and 64
ids drawn from T in proportion to P. Against a candidate that can be asked for the probability of any id this gives

    KL  =  sum_H P (log P - log Q) + P_T log(P_T / Q_T)        a lower bound of the true KL, whatever the tail does
        +  P_T * mean over the draws of (r - 1 - log r)        r = (Q(i)/Q_T) / (P(i)/P_T); unbiased, never negative

The bound holds up to the rounding of the stored logs, which moves a token's KL by at most 2^-11 (KL + sqrt(2 KL)) and
averages out. The second line is what is lost inside the tail; its spread over the draws is kept as a standard error. Do not trust
the estimate where that error is a large part of it: the candidate then moved mass inside a tail that 64 draws do not
resolve. Source: reference page on logit fidelity, section 16 (method of control variates for f-divergences).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.errors import IncompatibleCandidate, NumericsError
from harness.targets.checkpoint.kernel import (
    ROWS_ON_CPU,
    TOP_IDS,
    blocked_sum,
    bounded_exp,
    cut_padding,
    host,
    padded_mass,
    tied_with_first,
)

TOP: Final = 256
DRAWS: Final = 64
_STEP: Final = 2.0**-11  # log-probabilities are stored as 16-bit multiples of this, down to -32
_WIDEST: Final = 1 << 24  # ids are stored in three bytes
SMALLEST: Final = 1e-30  # a tail lighter than this is no tail

#: What is stored per token, as one record.
SKETCH: Final = np.dtype(
    [
        ("ids", "u1", (TOP, 3)),  # the most likely ids, first one first
        ("codes", "<u2", (TOP,)),  # -log P / step
        ("draws", "u1", (DRAWS, 3)),  # ids drawn from the tail
        ("draw_codes", "<u2", (DRAWS,)),  # -log(P / P_T) / step
        ("tail", "<f4"),  # P_T
        ("entropy", "<f4"),
        ("nll", "<f4"),
        ("p_top1", "<f4"),
        ("margin", "<f4"),
        ("padded", "<f4"),  # mass on ids beyond the tokenizer, which the sketch leaves out
        ("tied", "u1"),  # how many of the first ids are within one unit in the last place of the first
        ("masked", "u1"),  # 1 where some id cannot be sampled at all
    ]
)

Sketch = NDArray[np.void]


def draw_sketch(logits: Tensor, labels: Tensor, vocabulary: int, seed: int) -> Sketch:
    """Sketch the reference's distributions.

    Args:
        logits: fp32 ``[tokens, ids]``; overwritten.
        labels: int64 ``[tokens]``, -1 where a token has no successor.
        vocabulary: number of ids that the tokenizer knows; ids beyond it are kept only as their mass.
        seed: decides which tail ids are drawn.

    """
    if logits.shape[1] > _WIDEST:
        raise IncompatibleCandidate(f"a vocabulary of {logits.shape[1]} ids is too large for a sketch")
    if bool((logits.isnan() | (logits == torch.inf)).any()):
        raise NumericsError("the reference itself computes NaN or infinite logits", fix="run it in a wider format")
    out = np.zeros(len(logits), dtype=SKETCH)
    uniforms = torch.rand(len(logits), DRAWS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    # stratified: one draw in each 64th of the tail's mass has the same mean and less spread than 64 free draws
    places = ((torch.arange(DRAWS) + uniforms) / DRAWS).clamp_max(1 - 1e-12).to(logits.device)
    step = ROWS_ON_CPU if logits.device.type == "cpu" else len(logits)
    for start in range(0, len(logits), step):
        part = slice(start, start + step)
        _sketch_rows(logits[part], labels[part], vocabulary, places[part], out[part])
    return out


def _sketch_rows(z: Tensor, labels: Tensor, vocabulary: int, places: Tensor, out: Sketch) -> None:
    out["masked"] = host(z.isneginf().any(-1))
    z, bucket = cut_padding(z, vocabulary, "reference")
    out["padded"] = host(padded_mass(z, bucket))
    log_p, first = log_probabilities(z)
    top = z.topk(min(TOP, vocabulary))
    out["tied"] = host(tied_with_first(top.values[:, :TOP_IDS]).sum(-1))
    head = log_p.gather(1, top.indices)
    size = head.shape[1]
    out["ids"][:, :size] = _to_bytes(top.indices)
    out["codes"][:, :size] = encode(head)
    out["codes"][:, size:] = np.iinfo(np.uint16).max
    out["p_top1"] = host(first)
    out["margin"] = host(head[:, 0].double().exp() - head[:, 1].double().exp())
    p = log_p.exp()
    out["entropy"] = host(-blocked_sum(p * log_p.clamp_min(-1e4)))
    index = labels.clamp(min=0)[:, None]
    nll = -log_p.gather(1, index)[:, 0]
    out["nll"] = host(torch.where(labels >= 0, nll, torch.full_like(nll, torch.nan)))

    p.scatter_(1, top.indices, 0.0)
    tail = blocked_sum(p)
    out["tail"] = host(tail)
    sums = p.double().cumsum(-1)
    drawn = torch.searchsorted(sums, places * sums[:, -1:], right=True).clamp_max(vocabulary - 1)
    out["draws"] = _to_bytes(drawn)
    within = log_p.gather(1, drawn) - tail.clamp_min(SMALLEST).log()[:, None]
    out["draw_codes"] = encode(torch.where(tail[:, None] > SMALLEST, within, torch.zeros_like(within)))


def log_probabilities(z: Tensor) -> tuple[Tensor, Tensor]:
    """Log-softmax with the kernel's sums, and the largest probability."""
    shifted = z - z.amax(-1, keepdim=True)
    norm = blocked_sum(bounded_exp(shifted.clone()))
    return shifted.sub_(norm.log().float()[:, None]), 1.0 / norm


def encode(logs: Tensor) -> NDArray[np.uint16]:
    """Log-probabilities as 16-bit multiples of 2^-11, none below -32."""
    codes = np.rint(host(logs.double()) / -_STEP)
    return np.clip(codes, 0, np.iinfo(np.uint16).max).astype(np.uint16)


def _to_bytes(ids: Tensor) -> NDArray[np.uint8]:
    """``[tokens, n]`` ids as three little-endian bytes each."""
    return np.ascontiguousarray(host(ids).astype("<u4")).view(np.uint8).reshape(*ids.shape, 4)[..., :3]


def from_bytes(stored: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Ids from three bytes each."""
    wide = np.zeros((*stored.shape[:-1], 4), dtype=np.uint8)
    wide[..., :3] = stored
    ids: NDArray[np.int64] = wide.view("<u4")[..., 0].astype(np.int64)
    return ids


def decode(codes: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Log-probabilities from 16-bit codes; the last code stands for nothing at all."""
    return np.where(codes == np.iinfo(np.uint16).max, -np.inf, codes * -_STEP)

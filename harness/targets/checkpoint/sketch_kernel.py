"""A candidate's logits against the reference's sketch: the same row of statistics as the exact kernel fills.

Exact here: everything about the candidate alone, the true token's loss on both sides, entropies, ranks and agreement of
the first ten ids. Estimated, by the draws from the reference's tail: both KLs, JS and TV. ``kl_lower`` is certain.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.targets.checkpoint.kernel import (
    ROWS_ON_CPU,
    TOP_IDS,
    blocked_sum,
    bounded_exp,
    cut_padding,
    fill_ranks,
    host,
    softcapped,
)
from harness.targets.checkpoint.kernel import padded_mass as mass_beyond
from harness.targets.checkpoint.sketch import DRAWS, SMALLEST, Sketch, decode, encode, from_bytes, log_probabilities
from harness.targets.rows import (
    FLAG_MASKED,
    FLAG_NON_FINITE,
    FLAG_SUPPORT,
    GRID_STRIDE,
    INVERSE_TEMPERATURES,
    SOFTCAP_STRIDE,
    Rows,
    empty_rows,
)

_BARRED = 1e4  # how far below the first logit an id is put that cannot be sampled: its probability is 0 in fp64 too
_ESTIMATED = ("kl_ref_cand", "kl_cand_ref", "js", "tv", "kl_lower", "kl_se")

Floats = NDArray[np.float64]


def reduce_against_sketch(sketch: Sketch, z_cand: Tensor, labels: Tensor, vocabulary: int, rows: Rows) -> None:
    """Fill ``rows`` from the candidate's logits and the reference's sketch; arguments as for ``reduce_tile``."""
    step = ROWS_ON_CPU if z_cand.device.type == "cpu" else len(labels)
    for start in range(0, len(labels), step):
        part = slice(start, start + step)
        z = z_cand[part]
        void = (z.isnan() | (z == torch.inf)).any(-1) | z.isneginf().all(-1)
        barred = z.isneginf()
        if bool(barred.any()) or bool(void.any()):
            z = torch.where(void[:, None], 0.0, z)
            z = torch.where(barred & ~void[:, None], z.amax(-1, keepdim=True) - _BARRED, z)
        _reduce(sketch[part], z, barred, labels[part], vocabulary, rows[part], bend=start % SOFTCAP_STRIDE == 0)
        for index in np.flatnonzero(host(void)):
            lost = rows[part][index : index + 1]
            kept = {name: lost[name].copy() for name in ("position", "label")}
            lost[:] = empty_rows(1)
            lost["flags"] = FLAG_NON_FINITE
            for name, value in kept.items():
                lost[name] = value


def _reduce(
    sketch: Sketch, z: Tensor, barred: Tensor, labels: Tensor, vocabulary: int, rows: Rows, *, bend: bool
) -> None:
    ids, draws = _on(z, from_bytes(sketch["ids"])), _on(z, from_bytes(sketch["draws"]))
    z, bucket = cut_padding(z, vocabulary)
    beyond = host(mass_beyond(z, bucket)).astype(np.float64)
    rows["padded_mass"] = np.maximum(sketch["padded"], beyond)
    top = z.topk(TOP_IDS)
    shifted = z - top.values[:, :1]
    log_q, first = log_probabilities(z)
    q = log_q.exp()
    log_norm = -first.log()
    rows["margin_cand"] = host(q.gather(1, top.indices[:, :1])[:, 0] - q.gather(1, top.indices[:, 1:2])[:, 0])
    rows["entropy_cand"] = host(log_norm - blocked_sum(q * shifted))
    index = labels.clamp(min=0)[:, None]
    rows["nll_cand"] = np.where(host(labels) >= 0, host(-log_q.gather(1, index)[:, 0]), np.nan)
    rows["nll_ref"], rows["entropy_ref"] = sketch["nll"], sketch["entropy"]
    rows["p_top1_ref"], rows["margin_ref"] = sketch["p_top1"], sketch["margin"]
    tied = torch.arange(TOP_IDS)[None, :] < torch.from_numpy(sketch["tied"].astype(np.int64))[:, None]
    fill_ranks(ids[:, :TOP_IDS], tied.to(z.device), top, rows)

    head_q, draw_q = log_q.gather(1, ids), log_q.gather(1, draws)
    q.scatter_(1, ids, 0.0)
    tail_q = blocked_sum(q)
    _divergences(sketch, head_q, draw_q, tail_q, rows)
    if bucket is not None and bool((sketch["padded"] > 0).any()):
        _add_padding(sketch["padded"].astype(np.float64), beyond, rows)

    hit = host(barred.gather(1, ids)), host(barred.gather(1, draws))
    p = np.exp(decode(sketch["codes"]))
    violated = (p * hit[0]).sum(1) + sketch["tail"] * hit[1].mean(1)
    rows["violated_mass"] = violated
    rows["flags"] |= np.where(violated > 0, FLAG_SUPPORT, 0).astype(np.uint8)
    rows["kl_ref_cand"][violated > 0] = np.inf
    both = (sketch["masked"] == 1) & host(barred.any(-1))
    rows["flags"] |= np.where(both, FLAG_MASKED, 0).astype(np.uint8)

    # E_P of the candidate's shifted logit follows from the KL, so that the grid at 1 is the KL itself
    entropy, kl = rows["entropy_ref"].astype(np.float64), rows["kl_ref_cand"].astype(np.float64)
    expected = host(log_norm) - entropy - kl
    some = slice(0, None, GRID_STRIDE)
    for k, beta in enumerate(INVERSE_TEMPERATURES):
        norm = host(blocked_sum(bounded_exp(shifted[some] * beta)).log())
        rows["kl_grid"][some, k] = norm - beta * expected[some] - entropy[some]
    if bend:
        few = slice(0, None, SOFTCAP_STRIDE)
        expected = expected[few] + _double(top.values[few, 0])
        _fill_softcaps(sketch[few], z[few], ids[few], draws[few], expected, rows[few])


def _fill_softcaps(sketch: Sketch, z: Tensor, ids: Tensor, draws: Tensor, expected: Floats, rows: Rows) -> None:
    """The candidate re-read with softcaps; ``expected`` is E_P of its own logits, to which only the bend is added."""
    p, tail = np.exp(decode(sketch["codes"])), sketch["tail"].astype(np.float64)
    total = p.sum(1) + tail
    for index in range(len(z)):
        y = softcapped(z[index])
        bent = y - z[index]
        mean = (p[index] * _double(bent[:, ids[index]])).sum(1) + tail[index] * _double(bent[:, draws[index]]).mean(1)
        norm = _double(y.double().logsumexp(-1))
        rows["kl_softcap"][index] = norm - expected[index] - mean / total[index] - rows["entropy_ref"][index]


def _divergences(sketch: Sketch, head_q: Tensor, draw_q: Tensor, tail_q: Tensor, rows: Rows) -> None:
    """Both KLs, JS and TV from the head, the lumped tail, and what the draws say about the inside of the tail."""
    within_q = draw_q - tail_q.clamp_min(SMALLEST).log()[:, None]
    same = (encode(head_q) == sketch["codes"]) | (sketch["codes"] == np.iinfo(np.uint16).max)
    light = sketch["tail"] <= SMALLEST
    alike = same.all(1) & (host(tail_q.float()) == sketch["tail"])
    alike &= (encode(within_q) == sketch["draw_codes"]).all(1) | light

    log_p = decode(sketch["codes"])
    p, tail_p = np.exp(log_p), np.where(light, 0.0, sketch["tail"].astype(np.float64))
    total = p.sum(1) + tail_p  # not quite 1: the codes are rounded
    p, tail_p = p / total[:, None], tail_p / total
    live = p > 0
    log_p = np.where(live, log_p - np.log(total)[:, None], 0.0)
    log_q = np.where(live, _double(head_q), 0.0)
    q, tail_q64 = np.where(live, np.exp(log_q), 0.0), _double(tail_q)
    log_tails = np.log(np.maximum(tail_p, SMALLEST)) - np.log(np.maximum(tail_q64, SMALLEST))

    lower = (p * (log_p - log_q)).sum(1) + tail_p * log_tails
    log_r = _double(within_q) - decode(sketch["draw_codes"])
    r = np.exp(np.minimum(log_r, 700.0))
    inside = r - 1 - log_r
    reverse = (q * (log_q - log_p)).sum(1) - tail_q64 * log_tails + tail_q64 * (r * log_r - r + 1).mean(1)
    rho = r * np.exp(np.clip(-log_tails, -700, 700))[:, None]  # Q(i) / P(i)
    middle = np.log(0.5 * (p + q), where=live, out=np.zeros_like(p))
    js = 0.5 * (p * (log_p - middle) + q * (log_q - middle)).sum(1)
    bent = -np.log((1 + rho) / 2) + rho * (np.log(np.maximum(rho, SMALLEST)) - np.log((1 + rho) / 2))
    values: dict[str, Any] = {
        "kl_ref_cand": lower + tail_p * inside.mean(1),
        "kl_cand_ref": np.where(light, (q * (log_q - log_p)).sum(1), reverse),
        "js": js + tail_p * 0.5 * bent.mean(1),
        "tv": 0.5 * np.abs(p - q).sum(1) + tail_p * 0.5 * np.abs(1 - rho).mean(1),
        "kl_lower": lower,
        "kl_se": tail_p * inside.std(1, ddof=1) / np.sqrt(DRAWS),
    }
    for name in _ESTIMATED:
        # who reproduces every stored number to its last bit is the same distribution: exactly 0, not 1e-8
        rows[name] = np.where(alike, 0.0, values[name])


def _add_padding(padded_ref: Floats, padded_cand: Floats, rows: Rows) -> None:
    """Chain rule of KL over "is the id beyond the tokenizer?" and, if not, which one it is."""
    for name, m, n in (("kl_ref_cand", padded_ref, padded_cand), ("kl_cand_ref", padded_cand, padded_ref)):
        between = m * (np.log(np.maximum(m, SMALLEST)) - np.log(np.maximum(n, SMALLEST)))
        between += (1 - m) * (np.log1p(-m) - np.log1p(-n))
        rows[name] = between + (1 - m) * rows[name]


def _double(values: Tensor) -> Floats:
    return host(values.double())


def _on(z: Tensor, ids: NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(ids).to(z.device)

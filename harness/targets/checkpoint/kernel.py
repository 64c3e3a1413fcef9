"""Two tiles of logits in, one row of statistics per token out: the whole vocabulary is read, nothing of it is kept.

The arithmetic: logits are shifted by their row maximum in fp32, sums run in fp32 within blocks of 512 ids and in fp64
across blocks. Against fp64 on the same logits this errs by a few 1e-7 nat per token. Rows with a non-finite logit take
a slow fp64 path that applies the edge rules one by one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.errors import IncompatibleCandidate
from harness.targets.rows import (
    FLAG_MASKED,
    FLAG_NON_FINITE,
    FLAG_SUPPORT,
    GRID_STRIDE,
    INVERSE_TEMPERATURES,
    SOFTCAP_STRIDE,
    SOFTCAPS,
    Rows,
)

ROWS_ON_CPU = 16  # 16 x 49,152 fp32 is 3 MB: stays in the cache of one core
_BLOCK = 512
TOP_IDS = 10
_LOWEST = -87.0  # exp of anything lower is subnormal: tens of times slower to compute, and nothing beside 1
_ALMOST_ONE = 1.0 - 2.0**-24


def reduce_tile(z_ref: Tensor, z_cand: Tensor, labels: Tensor, vocabulary: int, rows: Rows) -> None:
    """Fill ``rows`` from the logits of both sides.

    Args:
        z_ref, z_cand: fp32 ``[tokens, ids]``; overwritten. The widths may differ by padding.
        labels: int64 ``[tokens]``, -1 where a token has no successor.
        vocabulary: number of ids that the tokenizer knows; ids beyond it are lumped into one bucket.
        rows: the output, ``[tokens]``; position, segment, depth and label are the caller's.

    """
    z_ref, z_cand, padded = fold_padding(z_ref, z_cand, vocabulary)
    rows["padded_mass"] = host(padded)
    few = slice(0, None, SOFTCAP_STRIDE)
    _fill_softcaps(z_ref[few], z_cand[few], rows[few])
    step = ROWS_ON_CPU if z_ref.device.type == "cpu" else len(labels)
    for start in range(0, len(labels), step):
        part = slice(start, start + step)
        a, b = z_ref[part], z_cand[part]
        finite = torch.isfinite(a.sum(-1)) & torch.isfinite(b.sum(-1))  # one NaN or infinity spoils its row's sum
        if bool(finite.all()):
            _reduce_finite(a, b, labels[part], rows[part])
        else:
            for index in range(len(a)):
                one = slice(index, index + 1)
                reduce_row = _reduce_finite if bool(finite[index]) else _reduce_with_edges
                reduce_row(a[one], b[one], labels[part][one], rows[part][one])


def host(values: Tensor) -> NDArray[Any]:
    """A tensor of any device as a numpy array."""
    return values.detach().cpu().numpy()  # type: ignore[no-any-return]


def fold_padding(z_ref: Tensor, z_cand: Tensor, vocabulary: int) -> tuple[Tensor, Tensor, Tensor]:
    """Lump ids beyond the tokenizer into one bucket on both sides, which keeps the data-processing inequality.

    If only one side is padded the bucket is dropped (the other side has no id to put there). Returns both tiles and
    the larger padded mass per token.
    """
    ref, ref_bucket = cut_padding(z_ref, vocabulary, "reference")
    cand, cand_bucket = cut_padding(z_cand, vocabulary)
    masses = torch.maximum(padded_mass(ref, ref_bucket), padded_mass(cand, cand_bucket))
    if ref_bucket is not None and cand_bucket is not None:
        ref, cand = torch.cat([ref, ref_bucket[:, None]], 1), torch.cat([cand, cand_bucket[:, None]], 1)
    return ref, cand, masses


def cut_padding(z: Tensor, vocabulary: int, side: str = "candidate") -> tuple[Tensor, Tensor | None]:
    """Logits of the tokenizer's own ids, and the log of the summed rest ``[tokens]`` (None without padding)."""
    if z.shape[1] < vocabulary:
        raise IncompatibleCandidate(
            f"the {side} scores {z.shape[1]} ids but the tokenizer knows {vocabulary}",
            fix="this checkpoint's embedding was cut; compare it with a reference of the same vocabulary",
        )
    if z.shape[1] == vocabulary:
        return z, None
    return z[:, :vocabulary].contiguous(), torch.logsumexp(z[:, vocabulary:], -1)


def padded_mass(z: Tensor, bucket: Tensor | None) -> Tensor:
    """Share of the probability that lies on ids beyond the tokenizer, ``[tokens]``."""
    if bucket is None:
        return torch.zeros(len(z), device=z.device)
    return torch.sigmoid(bucket - torch.logsumexp(z, -1))


def blocked_sum(values: Tensor) -> Tensor:
    """Sum over ids: fp32 inside blocks of 512, fp64 across blocks. ``[tokens, ids]`` -> fp64 ``[tokens]``."""
    count = values.shape[-1]
    whole = count - count % _BLOCK
    total = values[:, :whole].reshape(len(values), -1, _BLOCK).sum(-1).double().sum(-1)
    return total + values[:, whole:].double().sum(-1)


def bounded_exp(values: Tensor) -> Tensor:
    """Exp of non-positive shifted logits, with the subnormal range lifted to 1.6e-38."""
    return torch.exp_(values.clamp_min(_LOWEST))


def _fill_softcaps(z_ref: Tensor, z_cand: Tensor, rows: Rows) -> None:
    """The candidate re-read with softcaps. A softcap bends, so it sees the logits as they are, never shifted."""
    log_p = z_ref.log_softmax(-1)
    p = log_p.exp()
    for index in range(len(z_ref)):
        y = softcapped(z_cand[index])
        y = y - y.logsumexp(-1, keepdim=True)
        rows["kl_softcap"][index] = host(blocked_sum(p[index] * (log_p[index] - y)))


def softcapped(z: Tensor) -> Tensor:
    """One row of logits under every softcap of ``SOFTCAPS``, ``[caps, ids]``: applied, or taken out where negative."""
    applied = [cap for cap in SOFTCAPS if cap > 0]
    taken = [-cap for cap in SOFTCAPS if cap < 0]
    out = torch.empty(len(SOFTCAPS), len(z), device=z.device)
    caps = torch.tensor(taken, device=z.device)[:, None]
    x = (z / caps).clamp_(-_ALMOST_ONE, _ALMOST_ONE)
    out[: len(taken)] = (torch.log1p(x) - torch.log1p(-x)).mul_(0.5 * caps)  # atanh, which torch does not vectorise
    caps = torch.tensor(applied, device=z.device)[:, None]
    out[len(taken) :] = torch.tanh(z / caps).mul_(caps)
    return out


def _reduce_finite(z_ref: Tensor, z_cand: Tensor, labels: Tensor, rows: Rows) -> None:
    top_ref, top_cand = z_ref.topk(TOP_IDS), z_cand.topk(TOP_IDS)
    a = z_ref.sub_(top_ref.values[:, :1])
    b = z_cand.sub_(top_cand.values[:, :1])
    p, q = bounded_exp(a), bounded_exp(b)
    norm_p, norm_q = blocked_sum(p), blocked_sum(q)
    log_p, log_q = norm_p.log(), norm_q.log()  # log-normalisers of the shifted logits, fp64
    p.div_(norm_p.float()[:, None])
    q.div_(norm_q.float()[:, None])
    gap = a - b
    expected_gap, expected_a = blocked_sum(p * gap), blocked_sum(p * a)
    expected_b = expected_a - expected_gap  # E_P of the candidate's shifted logit
    rows["kl_ref_cand"] = host(expected_gap - log_p + log_q)
    rows["kl_lower"], rows["kl_se"] = rows["kl_ref_cand"], 0.0
    rows["kl_cand_ref"] = host(log_p - log_q - blocked_sum(q * gap))
    entropy_ref = log_p - expected_a
    rows["entropy_ref"] = host(entropy_ref)
    rows["entropy_cand"] = host(log_q - blocked_sum(q * b))

    _fill_top(top_ref, top_cand, norm_p, norm_q, rows)
    has_label = labels >= 0
    index = labels.clamp(min=0)[:, None]
    nan = torch.full_like(log_p, torch.nan)
    rows["nll_ref"] = host(torch.where(has_label, log_p - a.gather(1, index)[:, 0], nan))
    rows["nll_cand"] = host(torch.where(has_label, log_q - b.gather(1, index)[:, 0], nan))
    rows["violated_mass"] = 0.0

    some = slice(0, None, GRID_STRIDE)
    for k, beta in enumerate(INVERSE_TEMPERATURES):
        norm = blocked_sum(bounded_exp(b[some] * beta)).log()
        rows["kl_grid"][some, k] = host(norm - beta * expected_b[some] - entropy_ref[some])

    total, spread = p + q, p.sub_(q)
    rows["tv"] = host(0.5 * blocked_sum(spread.abs()))
    u = spread.div_(total.clamp_min(1e-37))  # in [-1, 1]; JS = sum s/4 [(1+u) log(1+u) + (1-u) log(1-u)]
    u.clamp_(-_ALMOST_ONE, _ALMOST_ONE)  # keeps 0 x log 0 out; costs at most 3e-7 nat
    bent = torch.log1p(u).mul_(1 + u)
    u.neg_()
    bent.add_(torch.log1p(u).mul_(1 + u))
    rows["js"] = host(0.25 * blocked_sum(bent.mul_(total)))


def _fill_top(
    top_ref: torch.return_types.topk, top_cand: torch.return_types.topk, norm_p: Tensor, norm_q: Tensor, rows: Rows
) -> None:
    """Everything that needs only the ten largest logits of each side."""
    p_top = torch.exp(top_ref.values[:, :2] - top_ref.values[:, :1]).double() / norm_p[:, None]
    q_top = torch.exp(top_cand.values[:, :2] - top_cand.values[:, :1]).double() / norm_q[:, None]
    rows["p_top1_ref"] = host(p_top[:, 0])
    rows["margin_ref"] = host(p_top[:, 0] - p_top[:, 1])
    rows["margin_cand"] = host(q_top[:, 0] - q_top[:, 1])
    fill_ranks(top_ref.indices, tied_with_first(top_ref.values), top_cand, rows)


def tied_with_first(values: Tensor) -> Tensor:
    """Which of the largest logits are within one unit in the last place of the first, ``[tokens, n]``."""
    return values >= torch.nextafter(values[:, :1], torch.full_like(values[:, :1], -torch.inf))


def fill_ranks(ref_ids: Tensor, ref_tied: Tensor, top_cand: torch.return_types.topk, rows: Rows) -> None:
    """Agreement of the first ten ids of both sides; ``ref_tied`` marks those that share the reference's first place."""
    first_ref, first_cand = ref_ids[:, 0], top_cand.indices[:, 0]
    rows["top1_ref"], rows["top1_cand"] = host(first_ref), host(first_cand)
    same = (ref_tied & (ref_ids == first_cand[:, None])).any(-1)
    same |= (tied_with_first(top_cand.values) & (top_cand.indices == first_ref[:, None])).any(-1)
    rows["agree"] = host(same)

    hit = top_cand.indices == first_ref[:, None]
    rank = torch.where(hit.any(-1), hit.int().argmax(-1), TOP_IDS)
    rows["rank_ref_top1"] = host(rank)
    shared = ref_ids[:, :, None] == top_cand.indices[:, None, :]
    rows["overlap5"] = host(shared[:, :5, :5].sum((1, 2)))
    rows["overlap10"] = host(shared.sum((1, 2)))


def _reduce_with_edges(z_ref: Tensor, z_cand: Tensor, labels: Tensor, rows: Rows) -> None:
    """One token with at least one non-finite logit: NaN and +inf void it, -inf is an id that cannot be sampled."""
    a, b = host(z_ref[0].double()), host(z_cand[0].double())
    flags = 0
    if np.isnan(a).any() or np.isnan(b).any() or (a == np.inf).any() or (b == np.inf).any():
        rows["flags"] |= FLAG_NON_FINITE
        return
    if np.isneginf(a).all() or np.isneginf(b).all():
        rows["flags"] |= FLAG_NON_FINITE
        return
    log_p = a - np.logaddexp.reduce(a)
    log_q = b - np.logaddexp.reduce(b)
    p, q = np.exp(log_p), np.exp(log_q)
    if (np.isneginf(a) & np.isneginf(b)).any():
        flags |= FLAG_MASKED
    barred = (p > 0) & np.isneginf(b)
    rows["violated_mass"] = p[barred].sum()
    if barred.any():
        flags |= FLAG_SUPPORT
    live_p, live_q = p > 0, q > 0
    rows["kl_ref_cand"] = np.inf if barred.any() else np.sum(p[live_p] * (log_p[live_p] - log_q[live_p]))
    rows["kl_lower"], rows["kl_se"] = rows["kl_ref_cand"], 0.0
    rows["kl_cand_ref"] = (
        np.inf if (live_q & np.isneginf(a)).any() else np.sum(q[live_q] * (log_q[live_q] - log_p[live_q]))
    )
    middle = 0.5 * (p + q)
    rows["js"] = 0.5 * (
        np.sum(p[live_p] * np.log(p[live_p] / middle[live_p])) + np.sum(q[live_q] * np.log(q[live_q] / middle[live_q]))
    )
    rows["tv"] = 0.5 * np.abs(p - q).sum()
    rows["entropy_ref"] = -np.sum(p[live_p] * log_p[live_p])
    rows["entropy_cand"] = -np.sum(q[live_q] * log_q[live_q])
    if int(labels[0]) >= 0:
        rows["nll_ref"], rows["nll_cand"] = -log_p[int(labels[0])], -log_q[int(labels[0])]
    top_ref, top_cand = z_ref.topk(TOP_IDS), z_cand.topk(TOP_IDS)
    norm_p, norm_q = (z_ref.new_full((1,), 1.0 / peak, dtype=torch.float64) for peak in (p.max(), q.max()))
    _fill_top(top_ref, top_cand, norm_p, norm_q, rows)
    rows["flags"] |= flags

"""One tile of logits in, one row of token evidence per token out; runs in the isolated process only.

Sums run in fp32 within blocks of 512 ids and in fp64 across blocks, as in ``kernel.py``: an error of a few 1e-7 nat.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.errors import NumericsError
from harness.targets.checkpoint.kernel import blocked_sum, host
from harness.targets.sampler import EDGE, Sampler
from harness.targets.token_evidence import CLAIMED, CLIPS, CUTS, POWERS, TILTS, TokenEvidence

_BARRED = -1e30  # stands for -inf in places where -inf times 0 would be NaN
_LIKELIEST = (512, 8192)  # ids among which most cut-offs end, and nearly all
_NEGLIGIBLE = -80.0  # a probability of e^-80 times any of its powers or logs is 0 in fp32 sums


def fill_evidence(z: Tensor, labels: Tensor, silent: Tensor, rows: TokenEvidence) -> Tensor:
    """Fill what a configuration says on its own; returns the audible log-probabilities, ``[tokens, ids]`` fp32.

    Args:
        z: fp32 logits ``[tokens, ids]`` of the tokenizer's own ids; overwritten.
        labels: the ids that the host sent, ``[tokens]``.
        silent: whether an id is silent, ``[ids]``.
        rows: the output, ``[tokens]``.

    """
    if not bool(torch.isfinite(z.amax(-1)).all()):
        raise NumericsError(
            "a configuration of the bank computes NaN or infinite logits",
            fix="run the reference in a wider number format, for example --dtype fp32",
        )
    z.sub_(z.amax(-1, keepdim=True))
    whole = blocked_sum(z.exp())
    rows["label"], rows["silent"] = host(labels), host(silent[labels])
    rows["log_silent"] = host(z[:, silent].double().logsumexp(-1) - whole.log())  # may be far below what fp32 can hold
    z[:, silent] = _BARRED
    peak = z.amax(-1, keepdim=True)
    z.sub_(peak).clamp_(min=_BARRED)
    norm = blocked_sum(z.exp())
    rows["log_audible"] = host((norm / whole).log() + peak[:, 0].double())
    said = ~silent[labels]
    own = z.gather(1, labels[:, None])[:, 0].double() - norm.log()
    rows["logp"] = host(torch.where(said, own, torch.nan))
    return z.sub_(norm.log().float()[:, None])


def fill_powers(log_p: Tensor, rows: TokenEvidence) -> None:
    """Log-normalisers of every power; the claimed sampler's is 0 by definition.

    The largest probability is at least one over the vocabulary, so no shift is needed: nothing over- or underflows.
    """
    scaled = torch.empty_like(log_p)
    for place, power in enumerate(POWERS):
        if place == CLAIMED:
            rows["normalisers"][:, place] = 0.0
        else:
            torch.mul(log_p, power, out=scaled).exp_()
            rows["normalisers"][:, place] = host(blocked_sum(scaled).log())


def fill_ranks(log_p: Tensor, z_whole: Tensor, labels: Tensor, rows: TokenEvidence) -> None:
    """Ranks and moments: what the tests of unlisted alternatives need of the reference; ``z_whole`` has the silent ids."""
    order = z_whole.argsort(-1, descending=True)
    log_sorted = log_p.gather(1, order)
    p = log_sorted.exp()
    own = log_p.gather(1, labels[:, None])
    said = host(own[:, 0] > _BARRED / 2)
    likelier = log_sorted > own
    rows["rank"] = host(likelier.sum(-1)) + 1.0
    rows["above"] = host(blocked_sum(p * likelier))
    rows["tied"] = host(blocked_sum(p * (log_sorted == own)))
    for name in ("rank", "above", "tied"):
        rows[name][~said] = np.nan
    rows["surprisal"] = _moments(-log_sorted.clamp(min=_NEGLIGIBLE), p)
    audible = log_sorted > _BARRED / 2
    ranks = audible.cumsum(-1)
    first = torch.ones_like(audible)
    lowest = torch.where(audible, log_sorted, torch.inf).cummin(-1).values  # silent ids stand between audible ones
    first[:, 1:] = log_sorted[:, 1:] < lowest[:, :-1]
    shared = torch.where(first & audible, ranks, 0).cummax(-1).values  # ids of equal probability share the better rank
    log_rank = shared.clamp(min=1).float().log()
    rows["log_rank"] = _moments(log_rank, p)
    for place, tilt in enumerate(TILTS):
        rows["tilted"][:, place] = host(blocked_sum(p * (tilt * log_rank).exp_()).log())


def _moments(values: Tensor, p: Tensor) -> NDArray[np.float64]:
    """Mean and variance under p, ``[tokens, 2]``."""
    mean = blocked_sum(p * values)
    variance = blocked_sum(p * (values - mean.float()[:, None]) ** 2)
    return np.stack([host(mean), host(variance)], axis=1)


def fill_cuts(z_whole: Tensor, log_p: Tensor, labels: Tensor, rows: TokenEvidence) -> None:
    """Log of the audible mass that each cut-off keeps, +inf where it rules the label out.

    ``z_whole`` are logits with the silent ids among them, because a sampler cuts off the whole distribution. The likeliest
    ids are looked at first; rows whose cut-offs reach further are sorted whole.
    """
    whole = z_whole.double().logsumexp(-1)
    found = torch.empty(len(labels), len(CUTS), dtype=torch.float64, device=z_whole.device)
    left = torch.arange(len(labels), device=z_whole.device)
    for top in (*(few for few in _LIKELIEST if few < z_whole.shape[1]), z_whole.shape[1]):
        ordered, order = z_whole[left].topk(top, -1)
        found[left], reach = _cuts(ordered, order, whole[left], log_p[left], labels[left])
        left = left[reach >= top]
        if not len(left):
            break
    rows["kept"] = host(found)


def _cuts(ordered: Tensor, order: Tensor, whole: Tensor, log_p: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Masses kept, ``[tokens, cuts]``, and how many of the ordered ids the widest cut-off needs, ``[tokens]``."""
    p = (ordered.double() - whole[:, None]).exp()
    before = p.cumsum(-1) - p  # mass of all likelier ids
    mass = log_p.gather(1, order).double().exp().cumsum(-1)
    hits = order == labels[:, None]
    place = torch.where(hits.any(-1), hits.float().argmax(-1), order.shape[1])
    found, reach = [], torch.zeros_like(labels)
    for kind, value in CUTS:
        if kind == "top_p":
            count = (before < value).sum(-1)
        elif kind == "top_k":
            count = torch.full_like(place, min(int(value), order.shape[1]))
        else:
            count = (ordered >= ordered[:, :1] + math.log(value)).sum(-1)
        reach = torch.maximum(reach, count)
        kept = mass.gather(1, (count - 1)[:, None])[:, 0].log()
        found.append(torch.where(place < count, kept, torch.inf))
    return torch.stack(found, 1), reach


def fill_claimed(z_whole: Tensor, log_p: Tensor, labels: Tensor, sampler: Sampler, rows: TokenEvidence) -> None:
    """The cut-off that was asked for: what it makes of the label, and the most that honest rounding lets it make of it.

    A cut-off between two neighbouring places gives a label at most 1 over the smallest mass that keeps it; for hosts at
    another temperature the same is worked out under every power. Without a cut-off both are 0.
    """
    if not sampler.cut:
        rows["claimed"], rows["granted"] = 0.0, 0.0
        return
    ordered, order = z_whole.double().sort(-1, descending=True)
    ordered -= ordered[:, :1]
    place = (order == labels[:, None]).float().argmax(-1)
    log_sorted = log_p.gather(1, order).double()
    said = log_p.gather(1, labels[:, None])[:, 0] > _BARRED / 2
    for column, power in enumerate(POWERS):
        tempered = (power * log_sorted).exp()
        mass = tempered.cumsum(-1)
        mass = mass / mass[:, -1:]  # of audible ids, because rows are conditional on one
        few, exact, many = _edges(ordered * power, sampler)
        kept = mass.gather(1, torch.maximum(place, few - 1)[:, None])[:, 0]
        rows["granted"][:, column] = host(torch.where(said & (place < many), -kept.log(), -torch.inf))
        if column == CLAIMED:
            kept = mass.gather(1, (exact - 1)[:, None])[:, 0]
            rows["claimed"] = host(torch.where(said & (place < exact), -kept.log(), -torch.inf))


def _edges(ordered: Tensor, sampler: Sampler) -> tuple[Tensor, Tensor, Tensor]:
    """How many of the ordered ids the cut-off keeps, at its narrowest, as it is, and at its widest, ``[tokens]`` each."""
    value, edge = sampler.value, EDGE[sampler.cut]
    if sampler.cut == "top_p":
        p = ordered.softmax(-1)
        before = p.cumsum(-1) - p  # mass of all likelier ids
        few, exact, many = ((before < value + shift).sum(-1) for shift in (-edge, 0.0, edge))
    else:
        if sampler.cut == "top_k":
            bar = ordered[:, min(int(value), ordered.shape[1]) - 1][:, None]
        else:
            bar = torch.full_like(ordered[:, :1], math.log(value))
        few, exact, many = ((ordered >= bar + shift).sum(-1) for shift in (edge, 0.0, -edge))
    return few.clamp(min=1), exact, many


def fill_against(log_q: Tensor, log_p: Tensor, rows: TokenEvidence) -> None:
    """What separates an alternative's audible distribution from the reference's, over the whole vocabulary."""
    p, q = log_p.exp(), log_q.exp()
    gap = (log_q - log_p).clamp_(-60.0, 60.0)  # silent ids: 0; beyond e^60 no float tells them apart
    rows["kl_cand_ref"] = host(blocked_sum(q * gap))
    rows["kl_ref_cand"] = host(-blocked_sum(p * gap))
    rows["chi2"] = host(blocked_sum(q * gap.exp())) - 1.0
    for place, bound in enumerate(CLIPS):
        rows["clipped"][:, place] = host(blocked_sum(p * gap.clamp(-bound, bound).exp_()).log())

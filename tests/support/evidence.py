"""Token evidence of replies in a small world, made by the product's own kernel from its logits."""

from __future__ import annotations

import numpy as np
import torch

from harness.targets.checkpoint.evidence_kernel import (
    fill_against,
    fill_claimed,
    fill_cuts,
    fill_evidence,
    fill_powers,
    fill_ranks,
)
from harness.targets.checkpoint.listed_kernel import fill_band, fill_claims, fill_told, listed_logs
from harness.targets.listed import Listed
from harness.targets.sampler import Sampler
from harness.targets.token_evidence import TokenEvidence, empty_evidence
from tests.support.worlds import World

SILENT = 3  # ids 0 to 2 are silent


def evidence_of(
    world: World,
    served: np.ndarray,
    names: tuple[str, ...],
    honest: tuple[str, ...],
    requests: int,
    length: int,
    seed: int,
    sampler: Sampler | None = None,
    told: np.ndarray | None = None,
) -> dict[str, list[TokenEvidence]]:
    """Rows per configuration and reply; replies end at their first silent token or after ``length``.

    ``told`` are the distributions of which the host tells the log-probabilities of the ten likeliest ids.
    """
    contexts, tokens = world.draw(np.random.default_rng(seed), served, requests, length)
    quiet = torch.zeros(world.logs.shape[2], dtype=torch.bool)
    quiet[:SILENT] = True
    labels = torch.from_numpy(tokens)
    rows, logs = {}, {}
    listed = tell(told[contexts], tokens) if told is not None else None
    centre = torch.from_numpy(world.logs[world.names.index(honest[0])][contexts]).float()
    for name in (*honest, *names):
        z = torch.from_numpy(world.logs[world.names.index(name)][contexts]).float()
        rows[name] = empty_evidence(len(tokens))
        logs[name] = fill_evidence(z.clone(), labels, quiet, rows[name])
        fill_powers(logs[name], rows[name])
        fill_cuts(z, logs[name], labels, rows[name])
        fill_claimed(z, logs[name], labels, sampler or Sampler(), rows[name])
        if listed:
            own = listed_logs(z, listed)
            fill_told(own, listed, rows[name])
            if name == honest[0]:
                fill_claims(own, listed, quiet.numpy(), rows[name])
            else:
                fill_band(own, listed_logs(centre, listed), listed, rows[name])
        if name == honest[0]:
            fill_ranks(logs[name], z, labels, rows[name])
        else:
            fill_against(logs[name], logs[honest[0]], rows[name])
    found: dict[str, list[TokenEvidence]] = {name: [] for name in rows}
    for r in range(requests):
        said = tokens[r * length : (r + 1) * length]
        silent = np.flatnonzero(said < SILENT)
        end = r * length + (int(silent[0]) + 1 if len(silent) else length)
        for name, part in rows.items():
            found[name].append(part[r * length : end])
    return found


def tell(served: np.ndarray, tokens: np.ndarray, count: int = 10, digits: int = 6) -> Listed:
    """What a host tells of each token: its own log-probability first, then the likeliest ids, rounded."""
    places = []
    for p, token in zip(served, tokens, strict=True):
        likeliest = [int(one) for one in np.argsort(-p)[:count] if one != token]
        places.append([(one, round(float(np.log(max(p[one], 1e-300))), digits)) for one in (int(token), *likeliest)])
    return Listed.of(places)

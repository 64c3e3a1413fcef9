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
) -> dict[str, list[TokenEvidence]]:
    """Rows per configuration and reply; replies end at their first silent token or after ``length``."""
    contexts, tokens = world.draw(np.random.default_rng(seed), served, requests, length)
    quiet = torch.zeros(world.logs.shape[2], dtype=torch.bool)
    quiet[:SILENT] = True
    labels = torch.from_numpy(tokens)
    rows, logs = {}, {}
    for name in (*honest, *names):
        z = torch.from_numpy(world.logs[world.names.index(name)][contexts]).float()
        rows[name] = empty_evidence(len(tokens))
        logs[name] = fill_evidence(z.clone(), labels, quiet, rows[name])
        fill_powers(logs[name], rows[name])
        fill_cuts(z, logs[name], labels, rows[name])
        fill_claimed(z, logs[name], labels, sampler or Sampler(), rows[name])
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

"""Audits of fresh tokens: contexts out of the cached arrays, tokens drawn anew from what a server would say there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from evidence_arrays import CONFIGURATIONS, SAMPLERS, Study

from harness.evidence.sequential.bank import STRENGTHS, Alternative, Bank
from harness.evidence.sequential.ratios import TokenRatios

FAMILIES = {
    "int8": "quantization", "fp8": "quantization", "Q8_0": "quantization", "Q5_0": "quantization", "Q4_0": "quantization",
    "nf4": "quantization", "rtn4": "quantization", "rtn3": "quantization", "kv8": "kv-cache", "kv4": "kv-cache",
    "no-system": "template", "no-generation": "template", "other": "other-model",
}  # fmt: skip
SMALL = 0.05
_OUT = -745.0


@dataclass
class Audits:
    """Fresh replies of one server and their ratios under any bank.

    ``server`` says whose distribution tokens are drawn from, ``contexts`` whose replies they continue (its own, unless an
    honest variant shares the reference's).
    """

    study: Study
    server: str
    contexts: str = ""

    def __post_init__(self) -> None:
        rows = self.study.of(self.contexts or self.server)
        self.rows = rows
        requests = self.study.request[rows]
        self.spans = [np.flatnonzero(requests == r) for r in np.unique(requests)]
        self.logs = np.ascontiguousarray(self.study.logs[:, rows, :])
        self.cumulative: dict[str, np.ndarray] = {}

    def divergence(self, name: str) -> float:
        """KL(name || reference) per token on these contexts, over the whole vocabulary."""
        return float(self.study.kl[CONFIGURATIONS.index(name), self.rows].mean())

    def coarse_divergence(self, name: str, base: str = "fp32") -> float:
        """The same on the coarsened alphabet, which is what drawn tokens can show; ``base`` in the reference's place."""
        q, p = (self.logs[CONFIGURATIONS.index(n)].astype(np.float64) for n in (name, base))
        return float((np.exp(q) * (q - p)).sum(-1).mean())

    def draw(self, rng: np.random.Generator, tokens: int, served: list[str] | None = None):
        """Requests at random until there are ``tokens``: places in these rows, symbols, request numbers.

        ``served`` are the configurations among which each request is routed at random; the server alone by default.
        """
        places, request, server = [], [], []
        served = served or [self.server]
        total = 0
        while total < tokens:
            span = self.spans[rng.integers(len(self.spans))]
            places.append(span)
            request.append(np.full(len(span), len(request)))
            server.append(np.full(len(span), rng.integers(len(served))))
            total += len(span)
        place, who = np.concatenate(places), np.concatenate(server)
        symbol = np.empty(len(place), dtype=np.int64)
        for k, name in enumerate(served):
            mine = np.flatnonzero(who == k)
            symbol[mine] = self._symbols(name, place[mine], rng.random(len(mine)))
        return place, symbol, np.concatenate(request)

    def _symbols(self, name: str, place: np.ndarray, u: np.ndarray) -> np.ndarray:
        if name not in self.cumulative:
            p = np.exp(self.logs[CONFIGURATIONS.index(name)].astype(np.float64))
            self.cumulative[name] = (p / p.sum(-1, keepdims=True)).cumsum(-1)
        out = np.empty(len(place), dtype=np.int64)
        for start in range(0, len(place), 4096):
            part = slice(start, start + 4096)
            out[part] = (self.cumulative[name][place[part]] < u[part, None]).sum(-1)
        return np.minimum(out, self.logs.shape[2] - 1)

    def values(self, name: str, place: np.ndarray, symbol: np.ndarray) -> np.ndarray:
        """Log-probabilities of drawn tokens under one configuration."""
        return self.logs[CONFIGURATIONS.index(name)][place, symbol].astype(np.float64)

    def ratios(self, drawn, members: list[str], honest=("fp32", "bf16"), *, samplers: bool = True) -> TokenRatios:
        """Ratios of drawn tokens; with ``samplers`` the null holds other samplers on the reference, too."""
        place, symbol, request = drawn
        own = self.values("fp32", place, symbol)
        settings = list(SAMPLERS) if samplers else []
        null = np.full((len(own), 1 + len(settings), len(honest)), _OUT)
        for k, name in enumerate(honest):
            null[:, 0, k] = self.values(name, place, symbol) - own
        for k, name in enumerate(settings, 1):
            null[:, k, 0] = self.values(name, place, symbol) - own
        columns = [self.values(name, place, symbol) - own for name in members]
        return TokenRatios(int(request[-1]) + 1, request, np.stack(columns, axis=1), null)


def study_bank(study: Study, members: list[str], *, weak: bool = True, **options) -> Bank:
    """The bank of the studies; weak strengths for what lies far enough from the reference."""
    far = {name: study.kl[CONFIGURATIONS.index(name), study.of("fp32")].mean() >= SMALL for name in members}
    return Bank(
        tuple(Alternative(n, FAMILIES[n], STRENGTHS if weak and far[n] else STRENGTHS[:1]) for n in members), **options
    )

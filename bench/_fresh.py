"""Audits of fresh tokens: contexts out of the cached arrays, tokens drawn anew from what a server would say there."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

import numpy as np
from evidence_arrays import CONFIGURATIONS, LUMPS, SAMPLERS, TOP, Study

from harness.comparisons.audit import FAVOURED
from harness.comparisons.replies import UNLISTED
from harness.evidence.sequential.bank import STRENGTHS, TOLERANCE, TOLERANCE_OF_FAR, Alternative, Bank
from harness.evidence.sequential.eprocess import token_path
from harness.evidence.sequential.omnibus import place_bets
from harness.evidence.sequential.ratios import TokenRatios
from harness.evidence.sequential.supremum import settings_bound

FAMILIES = {
    "int8": "quantization", "fp8": "quantization", "Q8_0": "quantization", "Q5_0": "quantization", "Q4_0": "quantization",
    "nf4": "quantization", "rtn4": "quantization", "rtn3": "quantization", "kv8": "kv-cache", "kv4": "kv-cache",
    "no-system": "template", "no-generation": "template", "other": "other-model",
}  # fmt: skip
#: Members that an audit weighs at full strength only.
NEAR = frozenset({"int8", "fp8", "Q8_0", "kv8", "no-system", "no-generation"})
#: A fifth of each far member mixed into a warmer reference, by the temperatures of an audit.
WARM = {
    f"{name} in part, at {warmer}": (name, warmer)
    for name in FAMILIES
    if name not in NEAR
    for warmer in ("T1.05", "T1.1")
}
#: As in an audit, the bank holds alternatives that name nothing, too.
NAMELESS = (*UNLISTED, *WARM)
WHOLE = (*FAMILIES, *NAMELESS)
#: What of a family is one scheme: left out together where a scheme is to be unlisted.
SCHEMES = {
    "rtn4": ("rtn4", "rtn3"), "Q4_0": ("Q4_0", "Q5_0", "Q8_0"), "nf4": ("nf4",), "int8": ("int8",), "fp8": ("fp8",),
    "Q8_0": ("Q8_0", "Q5_0", "Q4_0"), "kv8": ("kv8", "kv4"),
}  # fmt: skip
#: Samplers that are no arrays of their own: temperatures on the coarsened alphabet, and cuts by rank, which are exact.
TEMPERATURES = {"T0.5": 0.5, "T0.6": 0.6, "T1.5": 1.5}
CUTS = {"k20": 20, "k40": 40}
ALL_SAMPLERS = (*SAMPLERS, *TEMPERATURES, *CUTS)
#: Mean log rank of each symbol: a rank of its own for the likeliest, the mean of its ids for a lump of the rest.
_EDGES = TOP + np.arange(LUMPS + 1) * (49_152 - TOP) / LUMPS
LOG_RANK = np.concatenate([
    np.log(np.arange(1, TOP + 1)),
    [np.log(np.linspace(a + 1, b, 50)).mean() for a, b in itertools.pairwise(_EDGES)],
])  # fmt: skip
_OUT = -745.0


@dataclass(frozen=True)
class Drawn:
    """Fresh replies: every place that was reached, and the audible tokens among them."""

    requests: int
    reached: np.ndarray  # places in the rows
    reached_by: np.ndarray  # their requests
    ended: np.ndarray  # whether the reply fell silent there
    place: np.ndarray  # places of audible tokens
    symbol: np.ndarray
    request: np.ndarray


@dataclass
class Audits:
    """Fresh replies of one server and their ratios under any bank.

    ``server`` says whose distribution tokens are drawn from, ``contexts`` whose replies they continue (its own, unless an
    honest variant shares the reference's).
    """

    study: Study
    server: str
    contexts: str = ""
    tables: dict[str, np.ndarray] = field(default_factory=dict, repr=False)  # log-probabilities, [contexts, symbols]
    cumulative: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.rows = self.study.of(self.contexts or self.server)
        requests = self.study.request[self.rows]
        self.spans = [np.flatnonzero(requests == r) for r in np.unique(requests)]

    def table(self, name: str) -> np.ndarray:
        """Log-probabilities of one configuration on these contexts."""
        if name not in self.tables:
            if name in TEMPERATURES:
                found = self.table("fp32") / TEMPERATURES[name]
            elif name in WARM:
                build, warmer = WARM[name]
                found = np.logaddexp(np.log(0.8) + self.table(warmer), np.log(0.2) + self.table(build))
            elif name.startswith("rank^"):
                found = self.table("fp32") + float(name[5:]) * LOG_RANK
            elif name in CUTS:
                found = np.where(np.arange(TOP + LUMPS) < CUTS[name], self.table("fp32"), -87.0)
            else:
                found = self.study.logs[CONFIGURATIONS.index(name), self.rows, :].astype(np.float64)
            self.tables[name] = found - np.log(np.exp(found).sum(-1, keepdims=True))
        return self.tables[name]

    def divergence(self, name: str) -> float:
        """KL(name || reference) per audible token of this server's replies, over the whole vocabulary."""
        return float(self.heard() @ self.study.kl[CONFIGURATIONS.index(name), self.rows])

    def coarse_divergence(self, name: str, base: str = "fp32") -> float:
        """The same on the coarsened alphabet, which is what drawn tokens can show; ``base`` in the reference's place."""
        q, p = self.table(name), self.table(base)
        return float(self.heard() @ (np.exp(q) * (q - p)).sum(-1))

    def heard(self) -> np.ndarray:
        """How often an audible token is drawn at each place, as shares: the reply must get there and not fall silent."""
        going_on = 1.0 - np.exp(np.minimum(self.silence(self.server).astype(np.float64), -1e-12))
        found = np.empty(len(self.rows))
        for span in self.spans:
            found[span] = going_on[span].cumprod()
        return found / found.sum()

    @property
    def length(self) -> float:
        """Tokens per request."""
        return len(self.rows) / len(self.spans)

    def draw(
        self, rng: np.random.Generator, tokens: int = 0, served: list[str] | None = None, requests: int = 0
    ) -> Drawn:
        """Requests at random until there are so many, or ``tokens``, and a token of each of their contexts.

        ``served`` are the configurations among which each request is routed at random; the server alone by default.
        """
        served = served or [self.server]
        lengths = np.array([len(span) for span in self.spans])
        picks = rng.integers(len(self.spans), size=requests or int(2 * tokens / lengths.mean()) + 10)
        count = requests or int(np.searchsorted(lengths[picks].cumsum(), tokens)) + 1
        picks = picks[:count]
        place = np.concatenate([self.spans[pick] for pick in picks])
        request = np.repeat(np.arange(count), lengths[picks])
        who = rng.integers(len(served), size=count)[request]
        ended = np.empty(len(place), dtype=bool)
        silence = np.log(rng.random(len(place)))
        for k, name in enumerate(served):
            mine = np.flatnonzero(who == k)
            ended[mine] = silence[mine] < self.silence(name)[place[mine]]
        over = ended.cumsum() - ended  # silences before this place, over all requests
        starts = np.flatnonzero(np.diff(request, prepend=-1))
        reached = over == np.repeat(over[starts], lengths[picks])
        place, request, who, ended = place[reached], request[reached], who[reached], ended[reached]
        said = np.flatnonzero(~ended)
        symbol = np.empty(len(said), dtype=np.int64)
        u = rng.random(len(said))
        for k, name in enumerate(served):
            mine = np.flatnonzero(who[said] == k)
            symbol[mine] = self.symbols(name, place[said[mine]], u[mine])
        return Drawn(count, place, request, ended, place[said], symbol, request[said])

    def silence(self, name: str) -> np.ndarray:
        """Log-probability of a silent token at each place."""
        return self.study.quiet[CONFIGURATIONS.index(name if name in CONFIGURATIONS else "fp32"), self.rows]

    def symbols(self, name: str, place: np.ndarray, u: np.ndarray) -> np.ndarray:
        """The symbols at given quantiles of a configuration's distribution."""
        if name not in self.cumulative:
            whole = np.exp(self.table(name)).cumsum(-1)
            self.cumulative[name] = (whole / whole[:, -1:] + np.arange(len(whole))[:, None]).ravel()
        width = self.table(name).shape[1]
        found = np.searchsorted(self.cumulative[name], place + u, side="right") - place * width
        return np.clip(found, 0, width - 1)

    def values(self, name: str, drawn: Drawn) -> np.ndarray:
        """Log-probabilities of the drawn tokens under one configuration."""
        return self.table(name)[drawn.place, drawn.symbol]

    def ratios(self, drawn: Drawn, members, honest=("fp32", "bf16"), *, samplers: bool = True) -> TokenRatios:
        """Ratios of drawn tokens; with ``samplers`` the null holds other samplers on the reference, too."""
        own = self.values("fp32", drawn)
        settings = list(ALL_SAMPLERS) if samplers else []
        null = np.full((len(own), 1 + len(settings), len(honest)), _OUT)
        for k, name in enumerate(honest):
            null[:, 0, k] = self.values(name, drawn) - own
        for k, name in enumerate(settings, 1):
            null[:, k, 0] = self.values(name, drawn) - own
        columns = [self._bets(drawn) if name == "places" else self.values(name, drawn) - own for name in members]
        return TokenRatios(drawn.requests, drawn.request, np.stack(columns, axis=1), null)

    def _bets(self, drawn: Drawn) -> np.ndarray:
        """Bets on the places of tokens in the reference."""
        if "above" not in self.tables:
            p = np.exp(self.table("fp32"))
            self.tables["above"], self.tables["tied"] = p.cumsum(-1) - p, p
        above, tied = (self.tables[name][drawn.place, drawn.symbol] for name in ("above", "tied"))
        return place_bets(above, tied, 0)

    def length_ratios(self, drawn: Drawn, members, honest=("fp32", "bf16")) -> TokenRatios:
        """Ratios of falling silent or not, as in an audit's length process."""
        took = {
            name: np.where(drawn.ended, log, np.log1p(-np.exp(np.minimum(log, -1e-9))))
            for name in {*members, *honest, "fp32"}
            for log in [self.silence(name)[drawn.reached].astype(np.float64)]
        }
        own = took["fp32"]
        columns = np.stack([took[name] - own for name in members], axis=1)
        null = np.stack([took[name] - own for name in honest], axis=1)[:, None, :]
        return TokenRatios(drawn.requests, drawn.reached_by, columns, null)


def tolerance_of(name: str) -> float:
    """The tolerance of a member."""
    return TOLERANCE_OF_FAR if name in FAMILIES and name not in NEAR else TOLERANCE


def study_bank(members) -> Bank:
    """The bank of the studies, weighed as in an audit."""
    return Bank(
        tuple(
            Alternative(name, FAMILIES[name], STRENGTHS, TOLERANCE_OF_FAR)
            if name in FAMILIES and name not in NEAR
            else Alternative(name, FAMILIES.get(name, "unlisted" if name in NAMELESS else "sampling"))
            for name in members
        ),
        FAVOURED if set(members) & set(UNLISTED) else "",
    )


def merged(parts: list[tuple[TokenRatios, np.ndarray]]) -> TokenRatios:
    """Requests of several servers in one audit; each part comes with the numbers that its requests get."""
    request = np.concatenate([numbers[ratios.request] for ratios, numbers in parts])
    order = np.argsort(request, kind="stable")
    return TokenRatios(
        sum(ratios.requests for ratios, _ in parts),
        request[order],
        np.concatenate([ratios.members for ratios, _ in parts])[order],
        np.concatenate([ratios.honest for ratios, _ in parts])[order],
    )


def crossing(path: np.ndarray, bar: float) -> float:
    """Tokens until a path reaches a bar; infinite if it never does."""
    found = np.flatnonzero(path >= bar)
    return float(found[0] + 1) if len(found) else math.inf


def in_bank(ratios: TokenRatios, bank: Bank, bar: float) -> tuple[float, float]:
    """Tokens until E_null, and until both E_null and E_tol, reach the bar; watched after every token."""
    path = token_path(ratios, bank)
    honest = ratios.honest.reshape(len(ratios.request), -1)
    hopeful = path.log_numerator - np.maximum(honest.cumsum(0).max(1), 0.0) >= bar

    def first(places: np.ndarray) -> float:
        for t in np.flatnonzero(places):
            starts = np.flatnonzero(np.diff(ratios.request[: t + 1], prepend=-1))
            sums = np.add.reduceat(ratios.honest[: t + 1], starts, axis=0)
            if path.log_numerator[t] - settings_bound(sums) >= bar:
                return float(t + 1)
        return math.inf

    return first(hopeful), first(hopeful & (path.log_tolerant >= bar))

"""The alternatives that evidence is weighed for, with the weights that pay for their number.

A *member* is an alternative at one strength: q_u = (1 - u) p_0 + u q, token by token, so that a build of the same kind
that is not listed, and lies only partly in the direction of a listed one, still makes some member grow. Each member
exists at several routing shares: of all requests, or of a part. All weights sum to one, and E is their weighted mean, so
the bank pays for its own multiplicity and alpha is not split.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from harness.evidence.clustered import Floats, Ints

#: Routing shares. The first stands for all traffic; it is under 1 so that a lost reply costs it ln 50 and not everything.
SHARES = (0.98, 0.5, 0.25, 0.1, 0.05)
STRENGTHS = (1.0, 0.5, 0.2, 0.05)
#: Every server at most this share of the way from the reference to a member counts as honest.
TOLERANCE = 0.25
#: The same for members that lie far from the reference, towards which honest stacks lean least (decision 0005).
TOLERANCE_OF_FAR = 0.1
#: Numerators are mixed with this share of the reference: one token costs at most ln(1e6) = 13.8 nats.
FLOOR = 1e-6


@dataclass(frozen=True, slots=True)
class Alternative:
    """One alternative: its name, the family that it shares weight with, the strengths at which it enters, its tolerance."""

    name: str
    family: str
    strengths: tuple[float, ...] = (1.0,)
    tolerance: float = TOLERANCE


@dataclass(frozen=True)
class Bank:
    """Alternatives with fixed weights: families share alike, three quarters at full strength, half on all traffic.

    ``alternatives`` are in the order of the columns of the token ratios. The ``favoured`` family, if it is there beside
    others, has half of all weight: what hosts are suspected of most, and what has most members, is found soonest. Frozen
    before the first request: a member that is added later is exploratory.
    """

    alternatives: tuple[Alternative, ...]
    favoured: str = ""
    shares: tuple[float, ...] = SHARES
    floor: float = FLOOR
    column: Ints = field(init=False)  # [members] index of the alternative
    strength: Floats = field(init=False)  # [members]
    tolerance: Floats = field(init=False)  # [members]
    log_weight: Floats = field(init=False)  # [members, shares]

    def __post_init__(self) -> None:
        if not self.alternatives:
            raise ValueError("a bank needs at least one alternative")
        families = sorted({one.family for one in self.alternatives})
        parts = dict(zip(families, _shared(families, self.favoured), strict=True))
        column, strength, weight = [], [], []
        for place, one in enumerate(self.alternatives):
            alike = sum(other.family == one.family for other in self.alternatives)
            for u, part in zip(one.strengths, _first(0.75, len(one.strengths)), strict=True):
                column.append(place)
                strength.append(u)
                weight.append(part / alike * parts[one.family])
        shares = np.array(_first(0.5, len(self.shares)))
        object.__setattr__(self, "column", np.array(column, dtype=np.int64))
        slack = np.array([one.tolerance for one in self.alternatives])
        object.__setattr__(self, "tolerance", slack[column])
        object.__setattr__(self, "strength", np.array(strength) * (1.0 - self.floor))
        object.__setattr__(self, "log_weight", np.log(np.array(weight)[:, None] * shares[None, :]))

    def family_weight(self, family: str) -> float:
        """The share of all weight that a family has."""
        inside = [self.alternatives[c].family == family for c in self.column]
        return float(np.exp(self.log_weight[inside]).sum())

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the alternatives."""
        return tuple(one.name for one in self.alternatives)


def _first(part: float, count: int) -> list[float]:
    """Weights that sum to one: a part for the first, the rest shared."""
    return [1.0] if count == 1 else [part, *[(1.0 - part) / (count - 1)] * (count - 1)]


def _shared(families: list[str], favoured: str) -> list[float]:
    """Weights of families."""
    if favoured not in families or len(families) == 1:
        return [1.0 / len(families)] * len(families)
    return [0.5 if family == favoured else 0.5 / (len(families) - 1) for family in families]

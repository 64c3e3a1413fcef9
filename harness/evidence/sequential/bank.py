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
#: Numerators are mixed with this share of the reference: one token costs at most ln(1e6) = 13.8 nats.
FLOOR = 1e-6


@dataclass(frozen=True, slots=True)
class Alternative:
    """One alternative: its name, the family that it shares weight with, and the strengths at which it enters."""

    name: str
    family: str
    strengths: tuple[float, ...] = (1.0,)


@dataclass(frozen=True)
class Bank:
    """Alternatives with fixed weights: every family gets the same, half of it at full strength, half on all traffic.

    ``alternatives`` are in the order of the columns of the token ratios. Frozen before the first request: a member that
    is added later is exploratory.
    """

    alternatives: tuple[Alternative, ...]
    shares: tuple[float, ...] = SHARES
    tolerance: float = TOLERANCE
    floor: float = FLOOR
    column: Ints = field(init=False)  # [members] index of the alternative
    strength: Floats = field(init=False)  # [members]
    log_weight: Floats = field(init=False)  # [members, shares]

    def __post_init__(self) -> None:
        if not self.alternatives:
            raise ValueError("a bank needs at least one alternative")
        families = sorted({one.family for one in self.alternatives})
        column, strength, weight = [], [], []
        for place, one in enumerate(self.alternatives):
            alike = sum(other.family == one.family for other in self.alternatives)
            for u, part in zip(one.strengths, _half_first(len(one.strengths)), strict=True):
                column.append(place)
                strength.append(u)
                weight.append(part / alike / len(families))
        shares = np.array(_half_first(len(self.shares)))
        object.__setattr__(self, "column", np.array(column, dtype=np.int64))
        object.__setattr__(self, "strength", np.array(strength) * (1.0 - self.floor))
        object.__setattr__(self, "log_weight", np.log(np.array(weight)[:, None] * shares[None, :]))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the alternatives."""
        return tuple(one.name for one in self.alternatives)


def _half_first(count: int) -> list[float]:
    """Weights that sum to one: half for the first, the rest shared."""
    return [1.0] if count == 1 else [0.5, *[0.5 / (count - 1)] * (count - 1)]

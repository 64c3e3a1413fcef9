"""What an endpoint may be asked for at most: reserved before a request goes out, settled by what it bills."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.errors import BudgetSpent
from harness.suites.model import Frozen

_MILLION = 1e6


class Caps(Frozen):
    """Hard caps, None for none; prices are per million tokens, in one currency."""

    requests: float | None = None
    tokens: float | None = None  # of output
    seconds: float | None = None
    money: float | None = None
    price_in: float = 0.0
    price_out: float = 0.0

    def cost(self, prompt: float, tokens: float) -> float:
        """What so many tokens cost."""
        return (prompt * self.price_in + tokens * self.price_out) / _MILLION


class Spent(Frozen):
    """What was used: attempts, tokens in and out as billed (or as reserved where no bill came), money, seconds."""

    requests: int = 0
    prompt: int = 0
    tokens: int = 0
    money: float = 0.0
    seconds: float = 0.0


@dataclass(slots=True)
class Budget:
    """Counts against caps. What is on its way counts as if it used all that it asked for, so caps hold with any concurrency."""

    caps: Caps = field(default_factory=Caps)
    clock: Callable[[], float] = time.monotonic
    requests: int = 0
    prompt: int = 0
    tokens: int = 0
    _began: float = field(init=False)
    _before: float = 0.0  # seconds of earlier sessions of the same run

    def __post_init__(self) -> None:
        self._began = self.clock()

    def reserve(self, prompt: int, tokens: int) -> None:
        """Count a request that is about to go out; raises BudgetSpent if a cap would be passed."""
        caps = self.caps
        for name, then, cap in (
            ("requests", self.requests + 1, caps.requests),
            ("tokens of output", self.tokens + tokens, caps.tokens),
            ("money", caps.cost(self.prompt + prompt, self.tokens + tokens), caps.money),
            ("seconds", self._seconds, caps.seconds),
        ):
            if cap is not None and then > cap:
                raise BudgetSpent(f"the budget of {cap:g} {name} is used up", fix="allow more, or judge what there is")
        self.requests += 1
        self.prompt += prompt
        self.tokens += tokens

    def settle(self, reserved: tuple[int, int], billed: tuple[int | None, int | None]) -> None:
        """Replace what was reserved (prompt, output) by what was billed; what no bill tells stays as reserved."""
        self.prompt += (reserved[0] if billed[0] is None else billed[0]) - reserved[0]
        self.tokens += (reserved[1] if billed[1] is None else billed[1]) - reserved[1]

    def resume(self, spent: Spent) -> None:
        """Go on from what an interrupted run has used."""
        self.requests += spent.requests
        self.prompt += spent.prompt
        self.tokens += spent.tokens
        self._before += spent.seconds

    @property
    def spent(self) -> Spent:
        """What was used so far."""
        return Spent(
            requests=self.requests, prompt=self.prompt, tokens=self.tokens,
            money=self.caps.cost(self.prompt, self.tokens), seconds=self._seconds,
        )  # fmt: skip

    @property
    def _seconds(self) -> float:
        return self._before + self.clock() - self._began

"""Caps hold whatever is on its way, however a host bills, and across a resume."""

from __future__ import annotations

import pytest

from harness.errors import BudgetSpent
from harness.targets.endpoint.budget import Budget, Caps, Spent


@pytest.mark.parametrize(
    ("caps", "fits"),
    [
        (Caps(requests=3), 3),
        (Caps(tokens=200), 3),
        (Caps(money=0.0004, price_in=1.0, price_out=2.0), 2),
        (Caps(), 50),
    ],
)
def test_nothing_leaves_that_would_pass_a_cap(caps, fits):
    """What is reserved counts at once: ten prompt tokens and 64 of output per request."""
    budget = Budget(caps)
    for _ in range(fits):
        budget.reserve(60, 64)
    if fits < 50:
        with pytest.raises(BudgetSpent):
            budget.reserve(60, 64)
    assert budget.spent.requests == fits


def test_a_bill_gives_back_what_was_not_used_and_no_bill_does_not():
    """Refusals cost nothing; an answer without usage costs what was asked for."""
    budget = Budget(Caps(price_in=1.0, price_out=1.0))
    budget.reserve(100, 64)
    budget.settle((100, 64), (40, 10))
    budget.reserve(100, 64)
    budget.settle((100, 64), (None, None))
    budget.reserve(100, 64)
    budget.settle((100, 64), (0, 0))
    assert (budget.spent.prompt, budget.spent.tokens) == (140, 74)
    assert budget.spent.money == pytest.approx(214e-6)


def test_time_is_capped_and_a_resumed_run_goes_on_from_what_it_has_used():
    """Seconds, requests and tokens of the interrupted run count."""
    now = [0.0]
    budget = Budget(Caps(seconds=10, requests=5), clock=lambda: now[0])
    budget.resume(Spent(requests=3, prompt=10, tokens=20, seconds=4.0))
    budget.reserve(1, 1)
    now[0] = 6.5
    with pytest.raises(BudgetSpent, match="seconds"):
        budget.reserve(1, 1)
    assert budget.spent.tokens == 21

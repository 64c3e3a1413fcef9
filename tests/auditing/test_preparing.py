"""What an audit may cost is told before the first request."""

from __future__ import annotations

import pytest

from harness.auditing.preparing import Prepared, bill
from harness.comparisons.controls import Control
from harness.reports.audit_card import AuditPlan
from harness.targets.endpoint.budget import Caps

LOCAL, VOUCHED = Control(name="honest: bf16", role="honest", member="bf16"), Control(name="host", role="honest")


@pytest.mark.parametrize(("controls", "twice"), [((LOCAL,), False), ((VOUCHED, LOCAL), True)])
def test_the_bill_is_the_most_that_questions_cost(controls, twice):
    """Prompts as they are, replies as long as they may be, and a vouched host as much again."""
    plan = AuditPlan(
        reference="r", endpoint="e", requests=3, tokens=1000, honest=("fp32",), families={}, near=(), required=(),
        controls=controls, caps=Caps(price_in=100.0, price_out=1000.0), alpha=0.01, nonce="n", draws=4, questions="q",
        template="t", tokenizer="k", clock="2026-01-01T12:00:00",
    )  # fmt: skip
    told = bill(Prepared(plan, [], {"": [(1,) * 500] * 2 + [(1,) * 1000]}))
    assert told.startswith("at most 3 questions, 2,000 tokens in and 3,000 out, for 3.2;")
    assert ("honest host is asked as much again" in told) == twice

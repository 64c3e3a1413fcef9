"""What an audit may cost is told before the first request."""

from __future__ import annotations

import pytest

from harness.auditing.preparing import AuditRequest, Prepared, bill, prepare
from harness.comparisons.controls import Control
from harness.prompts.conversation import Conversation
from harness.prompts.parts import GAPS, in_one_text
from harness.reports.audit_card import AuditPlan
from harness.targets.endpoint.budget import Caps
from harness.targets.prompt_source import open_prompt_source

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


def test_every_way_to_join_text_parts_is_honest(smollm, tmp_path):
    """A host must not be accused for its engine's blank; ways that make the same prompt are one, and stand behind the centre."""
    parts = [{"type": "text", "text": "Say"}, {"type": "text", "text": "hello."}]
    asked = Conversation(messages=({"role": "user", "content": parts},))
    readings = {GAPS[gap]: [in_one_text(asked, gap)] for gap in (" ", "", "\n")}
    request = AuditRequest(str(smollm), bank=("rtn:4",), controls=False)
    source = open_prompt_source(str(smollm), tmp_path)
    found = prepare(request, source, [in_one_text(asked)], "file", "digest", readings=readings)
    assert set(found.plan.honest) == {"fp32", "bf16", "fp32, by blanks", "fp32, without a gap"}
    assert found.plan.honest[0] == found.members[0].name == "fp32"
    assert len({tuple(prompts) for prompts in found.prompts.values()}) == len(found.prompts) == 3

"""Cards of audits of a small world, with hostile names, for the tests of reports."""

from __future__ import annotations

from harness.comparisons.audit import weigh_replies
from harness.comparisons.controls import Control, ControlFacts
from harness.reports.audit_card import AuditCard, AuditPlan
from harness.targets.endpoint.budget import Caps, Spent
from harness.targets.endpoint.probe import Capability, Profile, State
from harness.verdicts.audit import judge_replies
from tests.support.evidence import evidence_of
from tests.support.worlds import make_world

EVIL = "<script>alert(1)</script>"
WORLD = make_world(contexts=30)
FAMILIES = {"a": "quantization", "b": "quantization"}


def audit_card(server: str, **changes) -> AuditCard:
    """The card of an audit of a small world."""
    served = WORLD.distribution(server)
    rows = evidence_of(WORLD, served, ("a", "b"), ("p", "h"), 30, 16, 1, told=served)
    facts = weigh_replies(rows, ("p", "h"), FAMILIES, ("a",), (), 0.01, 1)
    controls = (
        ControlFacts(
            name="honest: h", role="honest", member="h", requests=16, tokens=99, log_e=-1.0, found_at=0, axis=""
        ),
    )
    plan = AuditPlan(
        reference=EVIL, endpoint="http://127.0.0.1:1/v1#m", requests=30, tokens=16, honest=("p", "h"), families=FAMILIES,
        near=("a",), required=("b",), controls=(Control(name="honest: h", role="honest", member="h"),),
        caps=Caps(price_in=1.0, price_out=2.0), alpha=0.01, nonce="n", draws=4, questions="q", template="t",
        tokenizer="k", clock="2026-01-01T12:00:00",
    )  # fmt: skip
    profile = Profile(
        endpoint="x", engine=EVIL, models=(EVIL,), requests=3,
        capabilities=(Capability(name="seed", state=State.IGNORED, detail=EVIL),),
    )  # fmt: skip
    axes = judge_replies(facts, required=plan.required, controls=controls)
    card = AuditCard(
        fidelity_version="0", plan=plan, losses={EVIL: 1}, facts=facts, controls=controls,
        spent=Spent(requests=40, prompt=1000, tokens=480, money=0.002, seconds=3.0), profile=profile, axes=axes,
    )  # fmt: skip
    return card.model_copy(update=changes)

"""Counts around replies: bills, names and markers, told as they are; what is missing is not wrong."""

from __future__ import annotations

import pytest

from harness.comparisons.protocol import protocol_facts
from harness.targets.endpoint.replies import Reply
from harness.targets.endpoint.told import BROKEN, Told
from harness.verdicts.protocol import protocol_findings


def reply(**changes) -> Reply:
    """A sound reply to a prompt of 20 tokens."""
    return Reply(
        **{"text": "Fine.", "prompt": 20, "billed": 5, "total": 25, "model": "m", "fingerprint": "f"} | changes
    )


def codes(replies, lengths=None, ignored=()):
    facts = protocol_facts(replies, lengths or [20] * len(replies))
    return {finding.code: finding.detail for finding in protocol_findings(facts, ignored)}


def test_a_sound_host_has_no_finding():
    """Also one that says less: no bill, no names, lost replies."""
    bare = Reply(text="1 < 2 and a [list] of things; </b> is a tag.")
    assert codes([reply(), bare, Reply(lost="time-out", prompt=3)]) == {}


@pytest.mark.parametrize(
    ("odd", "code", "said"),
    [
        ({"prompt": 31, "total": 36}, "INTG506", "1 of 3"),
        ({"model": "other"}, "INTG507", "m, other"),
        ({"fingerprint": "g"}, "INTG508", "f, g"),
        ({"total": 99}, "INTG509", "1 of 3"),
        ({"text": "Hello<|im_end|>"}, "INTG510", "<|im_end|>"),
        ({"text": "HelloĠworld"}, "INTG510", "Ġ"),
        ({"text": "<think>hm</think>"}, "INTG510", "<think>"),
        ({"told": Told.of([[(5, -0.1), (6, -0.2)], [(5, -0.1), (6, -4.0)]])}, "INTG512", "1 of 2"),
        ({"told": Told.of([[(5, BROKEN)]])}, "INTG512", "1 of 1"),
        ({"wanted": "other"}, "INTG519", "1 of 3 answers; asked for other, answered m"),
        ({"wanted": "m-turbo"}, "INTG519", "1 of 3"),
        ({"ids": (1, 2, 3)}, "INTG520", "1 of 3 replies"),
    ],
)
def test_each_oddity_is_told_with_its_count(odd, code, said):
    """And nothing else with it."""
    found = codes([reply(), reply(**odd), reply()])
    assert list(found) == [code]
    assert said in found[code]


@pytest.mark.parametrize(
    ("wanted", "answered"),
    [("gpt-x", "gpt-x-2026-08-06"), ("lab/Model-8B", "model-8b"), ("m", "/models/m@main"), ("lab/m:free", "lab/m"),
     ("m", "m-latest"), ("", "m"), ("m", "")],
)  # fmt: skip
def test_a_name_with_its_date_owner_or_route_is_the_same(wanted, answered):
    """Hosts leave out owners and add dates and revisions."""
    assert codes([reply(wanted=wanted, model=answered)]) == {}


def test_several_hosts_behind_one_address_are_told():
    """A router says whom it asked; a single one is nobody's fault, and an end of turn may be billed."""
    assert codes([reply(provider="x"), reply(provider="x", ids=(1, 2, 3, 4))]) == {}
    found = codes([reply(provider="x"), reply(provider="y")])
    assert found == {"INTG507": "answers came from x, y"}


def test_reasoning_is_no_breach_of_the_protocol():
    """Its marks belong into an inline text of a model that thinks, and it may be billed beside the answer."""
    thought = reply(text="Hm.</think>Yes")
    assert codes([thought])["INTG510"]
    assert "INTG510" not in {
        one.code for one in protocol_findings(protocol_facts([thought], [20], ("<think>", "</think>")))
    }
    beside = reply()
    beside = beside.model_copy(update={"total": beside.prompt + beside.billed + 7})
    assert "INTG509" in codes([beside])
    assert "INTG509" not in codes([beside.model_copy(update={"reasoned": 7})])


def test_a_constant_surplus_is_told_as_one():
    """What an injected system prompt looks like."""
    found = codes([reply(prompt=20 + n, total=25 + n) for n in (17, 17)], [20, 20])
    assert found == {"INTG506": "every prompt is billed with +17 tokens"}
    assert codes([reply()], ignored=("seed", "n")) == {"INTG511": "seed, n"}

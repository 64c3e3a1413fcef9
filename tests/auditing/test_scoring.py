"""Replies through a bank: what is read once and kept."""

from __future__ import annotations

from harness.auditing import scoring
from harness.targets.bank import honest_members
from harness.targets.checkpoint.target import Workers
from harness.targets.opening import open_target
from harness.targets.spec import parse_spec


def test_a_member_is_opened_once_however_often_it_is_used(toy, shared_cache, monkeypatch):
    """Opening reads and digests files; a round of an audit asks for each member many times."""
    opened = []

    def counted(spec, *rest):
        opened.append(spec)
        return open_target(spec, *rest)

    monkeypatch.setattr(scoring, "open_target", counted)
    members = honest_members(parse_spec(str(toy)))
    with Workers() as workers:
        bench = scoring.Scoring(workers, shared_cache, members, {"": []})
        kept = {member.spec: bench.open(member.spec) for member in members}
        assert all(bench.open(spec) is target for spec, target in kept.items())
    assert len(opened) == len(set(opened)) == len(kept)

"""What an audit says of real hosts, fault by fault: recorded pools of live replies, judged in blocks that share no reply.

    make bench-hosts bench-audits [HOSTS=honest,Q4_0] [REQUESTS=60]

Every pool of ``record_hosts`` is scored under a bank of six, in parts of 20 replies that are kept in the cache, and cut into
blocks in the recorded order, without replacement; each block is one audit. Rows of hosts that are not asked for are kept. L3
has text and ids, L1 the told log-probabilities as well. Two hosts are made of recorded ones: a quarter of the requests routed to
Q4_0, and replies clipped after 24 tokens. found: an axis accuses within the block; named: by the right cause; median and worst
are requests until the accusation. Prompts are not compared here: what an audit finds in them, by their lengths, comes before the
first reply.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from _sibling import sibling_checkpoint
from _table import RESULTS, write
from record_hosts import MOST, NONCE, TOKENS, pool

from harness.auditing.asking import render_prompts
from harness.auditing.scorable import scorable
from harness.auditing.scoring import Scoring
from harness.auditing.store import Gathered
from harness.auditing.telling import Names, told_of, with_ids
from harness.comparisons.audit import AuditFacts, weigh_replies
from harness.config import Places
from harness.prompts.conversation import FROZEN_CLOCK
from harness.prompts.questions import draw_questions
from harness.targets.bank import bank_members, honest_members
from harness.targets.checkpoint.target import Workers
from harness.targets.demo_model import demo_reference
from harness.targets.endpoint.replies import Reply
from harness.targets.memory import room_for_models
from harness.targets.prompt_source import open_prompt_source
from harness.targets.spec import Runtime, parse_spec
from harness.targets.token_evidence import EVIDENCE_VERSION
from harness.verdicts.audit import judge_replies

BANK = ("ggufq:Q8_0", "ggufq:Q4_0", "rtn:4g128", "kv:q4_0", "prompt:chatml-fallback", "prompt:no-generation-prompt")
ALPHA, CLIPPED, PART = 0.01, 24, 20
#: Host: requests per block at L3 and at L1, and the causes that are right for it.
HOSTS: dict[str, tuple[int, int, tuple[str, ...]]] = {
    "honest": (200, 200, ()),
    "honest-bf16": (60, 60, ()),
    "Q4_0": (20, 20, ("quantization",)),
    "wrong-template": (20, 20, ("template",)),
    "kv-q4_0": (60, 40, ("kv-cache",)),
    "injected-prompt": (60, 20, ("template",)),
    "temperature-0.7": (20, 20, ("sampling",)),
    "routed-25": (60, 20, ("quantization",)),
    "clipped": (20, 20, ("clipping",)),
    "other-model": (20, 20, ("other-model",)),
    "Q8_0": (200, 60, ("quantization",)),
}


class Scored:
    """Evidence of pools under the bank, part by part, kept in the cache."""

    def __init__(self, bank: Sequence[str]) -> None:
        self.places = Places.default()
        reference = str(demo_reference(self.places.cache))
        spec = parse_spec(reference, Runtime(threads=1))
        self.members = [*honest_members(spec, tuple(bank)), *bank_members(tuple(bank), spec)]
        source = open_prompt_source(reference, self.places.cache)
        faults = [one.fault for one in self.members if one.fault]
        self.prompts = render_prompts(source, draw_questions(MOST, NONCE), faults, [FROZEN_CLOCK])

    def of(self, name: str, replies: Sequence[Reply]) -> Gathered:
        """Evidence of all replies."""
        found = Gathered()
        with Workers(room_for_models()) as workers:
            bench = Scoring(workers, self.places.cache, self.members, self.prompts)
            names = Names(bench.centre)
            for first in range(0, len(replies), PART):
                found.add(*self._part(name, replies[first : first + PART], first, bench, names))
        return found

    def _part(self, name: str, replies: Sequence[Reply], first: int, bench: Scoring, names: Names):
        version = f"{len(self.members)}-v{EVIDENCE_VERSION}"
        path = self.places.cache / "hosts" / "scored" / f"{name}-{first:04d}-{len(replies)}-{version}.npz"
        members = [one.name for one in self.members]
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            replies = with_ids(replies, names)
            read = scorable(replies, bench.centre, bench.silent, bench.stop, TOKENS)
            evidence = _exhausted(bench.evidence(read, first, told=told_of(replies, read, names, first)))
            arrays = {f"c{k}": np.concatenate(evidence[member]) for k, member in enumerate(members)}
            rows, lost = [len(one) for one in evidence[members[0]]], [k for k, one in enumerate(read) if one.lost]
            np.savez_compressed(path, rows=rows, lost=lost, **arrays)
        with np.load(path) as stored:
            ends = np.cumsum(stored["rows"])[:-1]
            found = {member: np.split(stored[f"c{k}"], ends) for k, member in enumerate(members)}
            return found, stored["lost"].astype(int).tolist()


def _exhausted(steps):
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def recorded(name: str, requests: int) -> list[Reply]:
    lines = pool(name).read_text().splitlines()[:requests]
    return [Reply.model_validate(json.loads(line)) for line in lines]


def gathered(name: str, scored: Scored, requests: int) -> Gathered:
    """The evidence of a host, or of one that is made of two recorded ones."""
    if name == "routed-25":
        good, bad = (gathered(one, scored, min(requests, 60)) for one in ("honest", "Q4_0"))
        coin = np.random.default_rng(5).random(good.requests) < 0.25
        mixed = {
            member: [b if other else g for other, b, g in zip(coin, bad.evidence[member], rows, strict=True)]
            for member, rows in good.evidence.items()
        }
        return Gathered(mixed, [], len(coin))
    if name == "clipped":
        return scored.of(name, clipped(recorded("honest", min(requests, 60))))
    return scored.of(name, recorded(name, requests))


def clipped(replies: Sequence[Reply]) -> list[Reply]:
    """As a host sends them that ends replies early and calls that a stop."""
    from harness.targets.checkpoint.tokenization import load_tokenizer

    tokenizer = load_tokenizer(parse_spec(str(demo_reference(Places.default().cache)), Runtime()))
    found = []
    for reply in replies:
        ids = (reply.ids or ())[:CLIPPED]
        text = tokenizer.decode(list(ids), skip_special_tokens=True)
        cut = {
            "ids": ids,
            "finish": "stop",
            "billed": CLIPPED,
            "text": text,
            "told": reply.told and reply.told.head(CLIPPED),
        }
        found.append(reply.model_copy(update=cut) if len(ids) == CLIPPED else reply)
    return found


def audited(found: Gathered, members, first: int, end: int, *, told: bool) -> AuditFacts:
    families = {one.name: one.family for one in members if one.family}
    honest = [one.name for one in members if not one.family]
    near = [one.name for one in members if one.near]
    rows = {
        name: [part if told else _untold(part) for part in parts[first:end]] for name, parts in found.evidence.items()
    }
    gone = [number - first for number in found.lost if first <= number < end]
    return weigh_replies(rows, honest, families, near, gone, ALPHA, seed=1)


def _untold(rows):
    without = rows.copy()
    without["told"] = np.nan
    return without


def blocks(found: Gathered, members, length: int, right: Sequence[str], *, told: bool) -> dict:
    """Audits of disjoint blocks, and what they came to."""
    verdicts, after = [], []
    contained: dict[
        str, list[float]
    ] = {}  # how often each build's own displacement lies in what is told, block by block
    for first in range(0, found.requests - length + 1, length):
        facts = audited(found, members, first, first + length, told=told)
        axes = judge_replies(facts)
        beyond = [axis.cause for axis in axes if axis.outcome == "BEYOND"]
        logs = facts.logprobs
        crossed = [one.crossed_at for one in (facts.weights, facts.sampler, facts.length) if one and one.crossed_at]
        crossed += [at for at in (logs.over_at, logs.forged_at) if at] if logs else []
        for one in logs.builds if logs and beyond else ():
            contained.setdefault(one.name, []).append(round(one.contained, 3))
        verdicts.append(str(next((one for one in beyond if one != "unlisted"), beyond[0])) if beyond else "")
        after.append(min(crossed) if beyond else np.inf)
        if logs and os.environ.get("SHOWN"):
            print(f"  {logs.distance:.3g} band {logs.band:.3g} over {logs.over_at} under {logs.under_at}", end=" ")
            print(f"forged {logs.log_forged:.1f} slope {logs.slope:.2f} {logs.straight:.3f} {logs.named}", end=" ")
            print([(one.name, float(f"{one.left:.2g}"), round(one.share, 2)) for one in logs.builds[:3]])
    causes = [cause for cause in verdicts if cause]
    return {
        "blocks": len(verdicts), "requests": length, "found": len(causes), "named": sum(cause in right for cause in causes),
        "median": _finite(np.median(after)), "worst": _finite(max(after)),
        "causes": {cause: verdicts.count(cause) for cause in dict.fromkeys(causes)},
        **({"contained": contained} if contained else {}),
    }  # fmt: skip


def main() -> None:
    path = RESULTS / "audit_matrix.json"
    wanted = os.environ.get("HOSTS", ",".join(HOSTS)).split(",")
    rows = [row for row in json.loads(path.read_text())["rows"] if row["host"] not in wanted] if path.exists() else []
    requests = int(os.environ.get("REQUESTS", "60"))
    places = Places.default()
    other = f"other:{sibling_checkpoint(demo_reference(places.cache), places.cache / 'hosts')}"
    for name in wanted:
        plain, told, right = HOSTS[name]
        scored = Scored((*BANK, other) if name == "other-model" else BANK)
        found = gathered(name, scored, requests)
        for access, length in (("L3", plain), ("L1", told)):
            done = blocks(found, scored.members, min(length, found.requests), right, told=access == "L1")
            rows.append({"host": name, "access": access, "lost": len(found.lost), **done})
            print(rows[-1], flush=True)
    rows.sort(key=lambda row: list(HOSTS).index(row["host"]))
    write("audit_matrix", rows, {"alpha": ALPHA, "bank": list(BANK), "tokens": TOKENS})


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


if __name__ == "__main__":
    main()

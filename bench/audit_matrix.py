"""What an audit says of real hosts, fault by fault: recorded pools of live replies, judged in blocks that share no reply.

    make bench-hosts bench-audits [HOSTS=honest,Q4_0]

Every pool of ``record_hosts`` is scored once under a bank of six (kept in the cache) and cut into blocks in the recorded order,
without replacement; each block is one audit with access to text and ids. Two hosts are made of recorded ones: a quarter of the
requests routed to Q4_0, and replies clipped after 24 tokens. found: an axis accuses within the block; named: by the right cause;
median and worst are requests until the accusation.
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
from _table import write
from record_hosts import MOST, NONCE, TOKENS, pool

from harness.auditing.asking import render_prompts
from harness.auditing.scorable import scorable
from harness.auditing.scoring import Scoring
from harness.comparisons.audit import AuditFacts, weigh_replies
from harness.config import Places
from harness.prompts.conversation import FROZEN_CLOCK
from harness.prompts.questions import draw_questions
from harness.targets.bank import bank_members, honest_members
from harness.targets.checkpoint.target import Workers
from harness.targets.demo_model import demo_reference
from harness.targets.endpoint.replies import Reply
from harness.targets.prompt_source import open_prompt_source
from harness.targets.spec import Runtime, parse_spec
from harness.targets.token_evidence import EVIDENCE_VERSION
from harness.verdicts.audit import judge_replies

BANK = ("ggufq:Q8_0", "ggufq:Q4_0", "rtn:4g128", "kv:q4_0", "prompt:chatml-fallback", "prompt:no-generation-prompt")
ALPHA, CLIPPED = 0.01, 24
#: Host: requests per block, the causes that are right for it, and the axis on which it should be accused.
HOSTS: dict[str, tuple[int, tuple[str, ...]]] = {
    "honest": (200, ()),
    "Q4_0": (10, ("quantization",)),
    "wrong-template": (20, ("template",)),
    "kv-q4_0": (60, ("kv-cache", "quantization")),
    "injected-prompt": (20, ("template",)),
    "temperature-0.7": (20, ("sampling",)),
    "Q8_0": (200, ("quantization",)),
    "routed-25": (30, ("quantization",)),
    "clipped": (20, ("clipping",)),
}


class Scored:
    """Evidence of pools under the bank, kept in the cache."""

    def __init__(self) -> None:
        places = Places.default()
        reference = str(demo_reference(places.cache))
        spec = parse_spec(reference, Runtime(threads=1))
        self.members = [*honest_members(spec, BANK), *bank_members(BANK, spec)]
        source = open_prompt_source(reference, places.cache)
        questions = draw_questions(MOST, NONCE)
        faults = [one.fault for one in self.members if one.fault]
        self.prompts = render_prompts(source, questions[:400], faults, [FROZEN_CLOCK])
        self.places = places

    def of(self, name: str, replies: Sequence[Reply]) -> tuple[dict, list[int]]:
        """Evidence per configuration and reply, and which replies are lost."""
        path = (
            self.places.cache
            / "hosts"
            / "scored"
            / f"{name}-{len(replies)}-{len(self.members)}-v{EVIDENCE_VERSION}.npz"
        )
        names = [one.name for one in self.members]
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            prompts = {key: list(value[: len(replies)]) for key, value in self.prompts.items()}
            with Workers() as workers:
                bench = Scoring(workers, self.places.cache, self.members, prompts)
                read = scorable(replies, bench.centre, bench.silent, bench.stop, TOKENS)
                evidence = _exhausted(bench.evidence(read))
            arrays = {f"c{k}": np.concatenate(evidence[name]) for k, name in enumerate(names)}
            np.savez_compressed(
                path,
                rows=[len(one) for one in evidence[names[0]]],
                lost=[k for k, one in enumerate(read) if one.lost],
                **arrays,
            )
        with np.load(path) as stored:
            ends = np.cumsum(stored["rows"])[:-1]
            found = {name: np.split(stored[f"c{k}"], ends) for k, name in enumerate(names)}
            return found, stored["lost"].tolist()


def _exhausted(steps):
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def recorded(name: str) -> list[Reply]:
    return [Reply.model_validate(json.loads(line)) for line in pool(name).read_text().splitlines()]


def replies_of(name: str) -> list[Reply]:
    """A pool, or one that is made of recorded replies."""
    if name == "routed-25":
        coin = np.random.default_rng(5).random(60) < 0.25
        return [
            bad if other else good for other, bad, good in zip(coin, recorded("Q4_0"), recorded("honest"), strict=False)
        ]
    if name == "clipped":
        return [_clipped(reply) for reply in recorded("honest")[:60]]
    return recorded(name)


def _clipped(reply: Reply) -> Reply:
    """As a host sends it that ends replies early and calls that a stop."""
    ids = (reply.ids or ())[:CLIPPED]
    if len(ids) < CLIPPED:
        return reply
    return reply.model_copy(update={"ids": ids, "finish": "stop", "billed": CLIPPED, "text": ""})


def audited(evidence: dict, lost: Sequence[int], members, first: int, end: int) -> AuditFacts:
    families = {one.name: one.family for one in members if one.family}
    honest = [one.name for one in members if not one.family]
    near = [one.name for one in members if one.near]
    rows = {name: parts[first:end] for name, parts in evidence.items()}
    gone = [number - first for number in lost if first <= number < end]
    return weigh_replies(rows, honest, families, near, gone, ALPHA, seed=1)


def main() -> None:
    scored = Scored()
    rows = []
    wanted = os.environ.get("HOSTS", ",".join(HOSTS)).split(",")
    for name, (length, right) in ((one, HOSTS[one]) for one in wanted):
        replies = replies_of(name)
        evidence, lost = _texts(scored, name, replies)
        verdicts, after = [], []
        for first in range(0, len(replies) - length + 1, length):
            facts = audited(evidence, lost, scored.members, first, first + length)
            axes = judge_replies(facts)
            beyond = next((axis for axis in axes if axis.outcome == "BEYOND"), None)
            crossed = [one.crossed_at for one in (facts.weights, facts.sampler, facts.length) if one and one.crossed_at]
            verdicts.append(str(beyond.cause) if beyond else "")
            after.append(min(crossed) if beyond else np.inf)
        found = [cause for cause in verdicts if cause]
        rows.append({
            "host": name, "blocks": len(verdicts), "requests": length, "lost": len(lost),
            "found": len(found), "named": sum(cause in right for cause in found),
            "median": _finite(np.median(after)), "worst": _finite(max(after)),
            "causes": {cause: verdicts.count(cause) for cause in dict.fromkeys(found)},
        })  # fmt: skip
        print(rows[-1], flush=True)
    write("audit_matrix", rows, {"alpha": ALPHA, "bank": list(BANK), "tokens": TOKENS, "access": "text and ids"})


def _texts(scored: Scored, name: str, replies: list[Reply]):
    """Scored replies; clipped ones get the text that their ids spell."""
    if name != "clipped":
        return scored.of(name, replies)
    from harness.targets.checkpoint.tokenization import load_tokenizer

    tokenizer = load_tokenizer(scored.members[0].spec)
    spelled = [
        reply.model_copy(update={"text": tokenizer.decode(list(reply.ids or ()), skip_special_tokens=True)})
        if not reply.text
        else reply
        for reply in replies
    ]
    return scored.of(name, spelled)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


if __name__ == "__main__":
    main()

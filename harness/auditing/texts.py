"""Fixed texts, scored by a host and by the bank: no prompt, no sampler and no template take part, only weights."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import partial

from harness.auditing.asked import Asked
from harness.auditing.preparing import Prepared
from harness.auditing.scorable import Scorable
from harness.auditing.scoring import Scoring
from harness.auditing.store import TEXTS, AuditFolder
from harness.auditing.telling import Names, told_alone
from harness.observations.events import Event, StageStarted
from harness.prompts.texts import draw_texts
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.probe import Profile, State
from harness.targets.endpoint.prompt_scores import ask_scores, read_scores
from harness.targets.endpoint.told import Told

_FEWEST = 8  # texts, below which nothing is stored


def scores_texts(profile: Profile) -> bool:
    """Whether a host takes ids and tells of them."""
    return profile.state("prompt scoring") is State.YES and profile.state("ids as prompt") is State.YES


def ask_texts(
    client: Client, log: Asked, bench: Scoring, prepared: Prepared, folder: AuditFolder, source: str = ""
) -> Generator[Event, None, None]:
    """Ask, score and store; what ``log`` holds is not asked again. Nothing is stored of a host that tells too little.

    ``source`` is empty for the candidate, else the name of a control. Raises BudgetSpent.
    """
    plan = prepared.plan
    if not plan.texts:
        return
    yield StageStarted("texts", f"{plan.texts} texts, scored by the host and by the bank")
    encoded = [one.ids for one in bench.centre.tokenize(draw_texts(plan.texts, plan.nonce))]
    texts = [ids for ids in encoded if len(ids) > 1]
    kept = [(ids, told) for ids, told in zip(texts, _told(client, log, texts), strict=False) if told]
    if len(kept) < _FEWEST:
        return
    members = [member for member in prepared.members if not member.fault]
    own = bench.of(members, {"": [ids[:1] for ids, _ in kept]})
    scored = [Scorable(ids[1:]) for ids, _ in kept]
    told = told_alone([told for _, told in kept], scored, Names(bench.centre))
    if not told:
        return
    rows = yield from own.evidence(scored, told=told)
    centre = rows[prepared.plan.honest[0]]  # under a fault of the prompt a text is what it is without
    whole = {member.name: rows.get(member.name, centre) for member in prepared.members}
    folder.keep_evidence(TEXTS + source, whole, [], [*plan.honest, *plan.families])


def _told(client: Client, log: Asked, texts: Sequence[tuple[int, ...]]) -> list[Told | None]:
    """What was told of each text; none of them if nothing was of the first, which also tells in which way the host is asked."""
    known = {number: log.answer_of(_item(number)) for number in range(len(texts))}
    found = {number: read_scores(answer, texts[number]) for number, answer in known.items() if answer}
    found = {number: told for number, told in found.items() if told}
    way = 0
    for part in ([0], range(1, len(texts))):
        left = [number for number in part if number not in found]
        jobs = [partial(ask_scores, client, texts[number], way, _item(number)) for number in left]
        for place, scores in client.together(jobs):
            way = scores.way
            if scores.told:
                found[left[place]] = scores.told
        if 0 not in found:
            break
    return [found.get(number) for number in range(len(texts))]


def _item(number: int) -> str:
    return f"text-{number:04d}"

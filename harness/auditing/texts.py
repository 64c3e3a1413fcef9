"""Fixed texts, scored by a host and by the bank: no prompt, no sampler and no template take part, only weights."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import partial

from harness.auditing.preparing import Prepared
from harness.auditing.scorable import Scorable
from harness.auditing.scoring import Scoring
from harness.auditing.store import TEXTS, AuditFolder
from harness.auditing.telling import Names, told_alone
from harness.observations.asked import Asked
from harness.observations.events import Event, StageStarted
from harness.prompts.texts import draw_texts
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.probe import Profile, State
from harness.targets.endpoint.prompt_scores import Scores, ask_scores, read_scores, way_of_scores

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
    scores = _scores(client, log, texts)
    kept = [(ids, one) for ids, one in zip(texts, scores, strict=True) if one and one.told]
    if len(kept) < _FEWEST:
        return
    members = [member for member in prepared.members if not member.fault]
    own = bench.of(members, {"": [ids[:1] for ids, _ in kept]})
    scored = [Scorable(ids[1:]) for ids, _ in kept]
    told = told_alone([one.told for _, one in kept if one.told], scored, Names(bench.centre))
    if not told:
        return
    rows = yield from own.evidence(scored, told=told)
    centre = rows[prepared.plan.honest[0]]  # under a fault of the prompt a text is what it is without
    whole = {member.name: rows.get(member.name, centre) for member in prepared.members}
    folder.keep_terms(TEXTS + source, None, neutral=all(one.neutral for _, one in kept))
    lost = range(len(kept), len(texts))  # they stand behind the others, and count against clearing
    folder.keep_evidence(TEXTS + source, whole, lost, [*plan.honest, *plan.families])


def _scores(client: Client, log: Asked, texts: Sequence[tuple[int, ...]]) -> list[Scores | None]:
    """What was told of each text; the first tell in which way the host is asked, and none are asked if nothing is of these."""
    found: dict[int, Scores] = {}
    for number, ids in enumerate(texts):
        for body, answer in log.answers_of(_item(number)):
            told = read_scores(answer, ids)
            if told and number not in found:
                found[number] = Scores(told=told, way=way_of_scores(body))
    way = max((one.way for one in found.values()), default=0)
    for part in ([0], [1], range(2, len(texts))):
        left = [number for number in part if number not in found]
        jobs = [partial(ask_scores, client, texts[number], way, _item(number)) for number in left]
        for place, scores in client.together(jobs):
            way = max(way, scores.way) if scores.told else way
            if scores.told:
                found[left[place]] = scores
        if part != [0] and not found:
            break
    return [found.get(number) for number in range(len(texts))]


def _item(number: int) -> str:
    return f"text-{number:04d}"

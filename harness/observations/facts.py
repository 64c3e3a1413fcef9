"""Facts that are stored beside the rows: identities, renderings, weight evidence, the text of ids."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from harness.errors import NoChatTemplate
from harness.observations.events import Event, StageStarted
from harness.observations.journal import Journal
from harness.observations.plan import Plan
from harness.suites.model import Item, Suite
from harness.targets.base import Encoded
from harness.targets.checkpoint.target import CheckpointTarget

_SHOWN_IDS = 20_000


def note_files(
    journal: Journal, plan: Plan, suite: Suite, reference: CheckpointTarget, candidates: list[CheckpointTarget]
) -> None:
    """Store what the files of both sides say, and the head of the suite."""
    journal.note("suite", "head", suite.head.model_dump(mode="json"))
    journal.note("identity", "reference", reference.identity().model_dump(mode="json"))
    for planned in plan.role("candidate"):
        target = next(t for t in candidates if t.spec == planned.spec)
        journal.note("identity", planned.key, target.identity().model_dump(mode="json"))


def note_prompts(
    journal: Journal, plan: Plan, suite: Suite, reference: CheckpointTarget, candidates: list[CheckpointTarget]
) -> Generator[Event, None, dict[str, str]]:
    """Encode the suite's items with every candidate's own tokenizer and template.

    Returns the candidates that must not be scored, with the reason: token divergences between different
    vocabularies mean nothing. Targets derived from the reference's own folder share its tokenizer by construction.
    """
    wanted = {sequence.key for sequence in plan.items()}
    items = [item for item in suite.items if item.id in wanted or suite.head.window]
    blocked: dict[str, str] = {}
    ours: dict[str, Encoded] = {}
    for planned in plan.role("candidate"):
        target = next(t for t in candidates if t.spec == planned.spec)
        if planned.spec.base == reference.spec.base or journal.noted("prompts", planned.key) is not None:
            continue
        yield StageStarted("prompts", f"rendering the items with the tokenizer and template of {planned.label}")
        ours = ours or encode_all(reference, items)
        problem = ""
        try:
            theirs = encode_all(target, items)
        except NoChatTemplate as error:
            problem = error.problem
            theirs = encode_all(target, [item for item in items if item.text is not None])
        facts = {
            "problem": problem,
            "vocabulary": target.vocabulary(),
            "reference": {key: value.model_dump(mode="json") for key, value in ours.items()},
            "candidate": {key: value.model_dump(mode="json") for key, value in theirs.items()},
        }
        journal.note("prompts", planned.key, facts)  # type: ignore[arg-type]
    identity = reference.identity()
    for planned in plan.role("candidate"):
        other = next(t for t in candidates if t.spec == planned.spec).identity()
        if identity.vocabulary_sha256 and other.vocabulary_sha256 not in {"", identity.vocabulary_sha256}:
            blocked[planned.key] = "its tokenizer has another vocabulary, so token divergences are undefined"
    return blocked


def encode_all(target: CheckpointTarget, items: list[Item]) -> dict[str, Encoded]:
    """Texts and conversations of a suite as one target encodes them."""
    texts = [item for item in items if item.text is not None]
    chats = [item for item in items if item.messages]
    encoded = dict(zip((i.id for i in texts), target.tokenize([i.text or "" for i in texts]), strict=True))
    for open_reply in (False, True):
        part = [item for item in chats if bool(item.sample) == open_reply]
        rendered = target.render([item.messages for item in part], open_reply=open_reply)
        encoded.update(zip((item.id for item in part), rendered, strict=True))
    return encoded


def note_pieces(journal: Journal, plan: Plan, reference: CheckpointTarget) -> None:
    """Store the text of every id that a report could show: labels and both sides' first choices."""
    if journal.noted("pieces", "all") is not None:
        return
    ids: set[int] = set()
    for planned in plan.role("candidate"):
        for sequence in plan.of(planned):
            rows = journal.rows(planned.key, sequence.key)
            if rows is not None:
                for name in ("label", "top1_ref", "top1_cand"):
                    ids.update(np.unique(rows[name]).tolist())
    known = sorted(i for i in ids if i >= 0)[:_SHOWN_IDS]
    journal.note("pieces", "all", dict(zip((str(i) for i in known), reference.pieces(known), strict=True)))

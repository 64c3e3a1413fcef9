"""What a text costs each side in its own tokens: the one measurement that other vocabularies leave.

Both sides read the same text. What they pay is counted from the first place on where, after a stretch of context, a
token of both begins, so that both are charged for the same bytes.
"""

from __future__ import annotations

import numpy as np

from harness.observations.journal import Journal
from harness.observations.plan import Plan, PlannedTarget
from harness.prompts.sequences import Sequence, document_sequence
from harness.suites.model import Suite
from harness.targets.base import Encoded
from harness.targets.batches import Batch
from harness.targets.checkpoint.target import CheckpointTarget


def note_losses(
    journal: Journal,
    plan: Plan,
    suite: Suite,
    planned: PlannedTarget,
    target: CheckpointTarget,
    reference: CheckpointTarget,
) -> None:
    """Store, per plain text of the plan, the nats that both sides pay for the same bytes."""
    if journal.noted("losses", planned.key) is not None or suite.head.window:
        return
    wanted = {sequence.key for sequence in plan.items()}
    items = [item for item in suite.items if item.id in wanted and item.text]
    texts = [item.text or "" for item in items]
    sides = [side.tokenize(texts, spans=True) for side in (reference, target)]
    entries: dict[str, dict[str, float | str]] = {}
    starts: dict[str, int] = {}
    for item, ours, theirs in zip(items, *sides, strict=True):
        start = shared_start(ours, theirs, suite.head.skip_tokens)
        if start is not None:
            starts[item.id] = start
            entries[item.id] = {"cluster": item.unit, "bytes": len((item.text or "")[start:].encode())}
    # the candidate first: its process is the one that is open
    for name, side, encoded in (("candidate", target, sides[1]), ("reference", reference, sides[0])):
        for item, tokens in zip(items, encoded, strict=True):
            if item.id in starts:
                entries[item.id][name] = _paid(side, tokens, starts[item.id])
    journal.note("losses", planned.key, entries)  # type: ignore[arg-type]


def shared_start(ours: Encoded, theirs: Encoded, skip: int) -> int | None:
    """The first character after ``skip`` tokens of each side at which a token of both begins; None without one."""
    begins = []
    for side in (ours, theirs):
        real = [begin for begin, end in side.spans if end > begin]
        later = real[skip:]
        # bytes of one character share its place: only the first of them begins there
        begins.append({b for k, b in enumerate(later) if k + skip == 0 or real[k + skip - 1] < b})
    both = begins[0] & begins[1]
    return min(both) if both else None


def _paid(side: CheckpointTarget, encoded: Encoded, start: int) -> float:
    """Nats that one side pays for the text from a character on."""
    first = next(k for k, (begin, end) in enumerate(encoded.spans) if end > begin >= start)
    sequence: Sequence = document_sequence("text", "", "", encoded.ids, max(first - 1, 0))
    losses = side.losses(Batch.of([sequence])).astype(np.float64)
    counted = [
        loss
        for (begin, end), loss in zip(encoded.spans[sequence.first + 1 :], losses[:-1], strict=True)
        if end > begin >= start  # an end-of-text token stands for no bytes
    ]
    return float(np.sum(counted))

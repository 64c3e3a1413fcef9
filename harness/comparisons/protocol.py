"""What replies say of the protocol around them: bills, names, markers. Counts only, no statistics needed. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from harness.comparisons.model import Result
from harness.targets.endpoint.replies import Reply

#: What belongs to templates, parsers or byte-level vocabularies and never into a text that was asked for in plain words.
_MARKERS = re.compile(
    r"<\|[a-zA-Z_0-9]{2,40}\|>|</?think>|</?tool_call>|\[/?INST\]|<start_of_turn>|<end_of_turn>|</?s>|[ĠĊ]|<0x[0-9A-F]{2}>"
)


class ProtocolFacts(Result):
    """Counts over the replies that were not lost."""

    replies: int
    prompts_billed: int  # replies that say how many prompt tokens they had
    prompts_differ: int  # of these, how many differ from the reference's prompt
    shift: int  # the commonest difference
    shift_in: int  # how often it comes
    sums_wrong: int  # replies whose total is not prompt plus output
    models: tuple[str, ...]  # names under which the host answered, in order of appearance
    fingerprints: tuple[str, ...]
    marked: int  # replies with a marker in their text
    markers: tuple[str, ...]
    told: int  # tokens with log-probabilities
    unsound: int  # of these, how many with values that are none


def protocol_facts(replies: Sequence[Reply], lengths: Sequence[int]) -> ProtocolFacts:
    """Count; ``lengths`` are the tokens of the reference's prompts, in the order of the replies."""
    kept = [(reply, length) for reply, length in zip(replies, lengths, strict=True) if not reply.lost]
    shifts = Counter(reply.prompt - length for reply, length in kept if reply.prompt is not None)
    shift, times = shifts.most_common(1)[0] if shifts else (0, 0)
    told = [reply.told for reply, _ in kept if reply.told]
    marked = [_MARKERS.findall(reply.text) for reply, _ in kept]
    return ProtocolFacts(
        replies=len(kept),
        prompts_billed=sum(shifts.values()),
        prompts_differ=sum(count for by, count in shifts.items() if by),
        shift=shift,
        shift_in=times,
        sums_wrong=sum(_wrong(reply) for reply, _ in kept),
        models=tuple(dict.fromkeys(reply.model for reply, _ in kept if reply.model))[:8],
        fingerprints=tuple(dict.fromkeys(reply.fingerprint for reply, _ in kept if reply.fingerprint))[:8],
        marked=sum(bool(found) for found in marked),
        markers=tuple(dict.fromkeys(one for found in marked for one in found))[:8],
        told=sum(map(len, told)),
        unsound=sum(int(one.unsound().sum()) for one in told),
    )


def _wrong(reply: Reply) -> bool:
    """Whether a bill does not add up; one that leaves something out is not wrong."""
    if reply.total is None or reply.prompt is None or reply.billed is None:
        return False
    return reply.total != reply.prompt + reply.billed

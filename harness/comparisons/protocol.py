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

_PLACES = re.compile(r"[/\\]")
_DATED = re.compile(r"[-_.](?:\d{4}(?:-?\d{2}){0,2}|\d{6,8}|latest|v?\d+(?:\.\d+)*)")


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
    providers: tuple[str, ...] = ()  # whom a router says that it asked
    renamed: int = 0  # replies under another name than was asked for
    wanted: tuple[str, ...] = ()  # the names that were asked for
    short: int = 0  # replies that hold fewer ids than tokens are billed, an end of turn aside
    marked: int  # replies with a marker in their text
    markers: tuple[str, ...]
    told: int  # tokens with log-probabilities
    unsound: int  # of these, how many with values that are none


def protocol_facts(replies: Sequence[Reply], lengths: Sequence[int], marks: Sequence[str] = ()) -> ProtocolFacts:
    """Count; ``lengths`` are the tokens of the reference's prompts, in the order of the replies.

    ``marks`` around a model's reasoning belong into its text.
    """
    kept = [(reply, length) for reply, length in zip(replies, lengths, strict=True) if not reply.lost]
    shifts = Counter(reply.prompt - length for reply, length in kept if reply.prompt is not None)
    shift, times = shifts.most_common(1)[0] if shifts else (0, 0)
    told = [reply.told for reply, _ in kept if reply.told]
    marked = [[one for one in _MARKERS.findall(reply.text) if one not in marks] for reply, _ in kept]
    return ProtocolFacts(
        replies=len(kept),
        prompts_billed=sum(shifts.values()),
        prompts_differ=sum(count for by, count in shifts.items() if by),
        shift=shift,
        shift_in=times,
        sums_wrong=sum(_wrong(reply) for reply, _ in kept),
        models=tuple(dict.fromkeys(reply.model for reply, _ in kept if reply.model))[:8],
        fingerprints=tuple(dict.fromkeys(reply.fingerprint for reply, _ in kept if reply.fingerprint))[:8],
        providers=tuple(dict.fromkeys(reply.provider for reply, _ in kept if reply.provider))[:8],
        renamed=sum(
            bool(reply.model and reply.wanted) and not _same_name(reply.wanted, reply.model) for reply, _ in kept
        ),
        wanted=tuple(dict.fromkeys(reply.wanted for reply, _ in kept if reply.wanted))[:8],
        short=sum(_short(reply) for reply, _ in kept),
        marked=sum(bool(found) for found in marked),
        markers=tuple(dict.fromkeys(one for found in marked for one in found))[:8],
        told=sum(map(len, told)),
        unsound=sum(int(one.unsound().sum()) for one in told),
    )


def _wrong(reply: Reply) -> bool:
    """Whether a bill does not add up; one that leaves something out is not wrong."""
    if reply.total is None or reply.prompt is None or reply.billed is None:
        return False
    return reply.total - reply.prompt not in {reply.billed, reply.billed + reply.reasoned}  # some bill reasoning beside


def _short(reply: Reply) -> bool:
    """Whether more tokens are billed than the ids that came; one may be the end of the turn."""
    return (
        bool(reply.ids) and not reply.withheld and reply.billed is not None and reply.billed > len(reply.ids or ()) + 1
    )


def _same_name(wanted: str, answered: str) -> bool:
    """Whether a name may be what was asked for: hosts leave out owners, and add dates, revisions and routes.

    A name that goes on in words, as in toy and toy-turbo, is another model's.
    """
    asked, told = (_PLACES.split(name.casefold())[-1].split("@")[0].split(":")[0] for name in (wanted, answered))
    return asked == told or (told.startswith(asked) and bool(_DATED.fullmatch(told.removeprefix(asked))))

"""Does an endpoint do as it is told? Judged by effects over the replies to the trials of ``suites/integrity``. Pure.

A row is YES where the effect is there, IGNORED where it is surely missing, NO where the request is refused, and UNKNOWN where
these replies cannot tell. Replies at temperature 0 are repeated: what differs among them is never held against a parameter.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

from harness.comparisons.model import Result
from harness.targets.endpoint.probe import Capability, State
from harness.targets.endpoint.replies import Reply
from harness.targets.endpoint.trials import Tried

#: Log-probabilities of two prompts that differ by less than this were made without what tells the prompts apart.
BLIND, SEEN = 1e-3, 1e-2
_SURE, _NEVER, _SHARED = -50.0, -1e-3, 3  # logarithms between which a value says something, and how many must
_OVER_FLOOR = 2.0  # times what repetitions of one prompt differ by
_REPEATS = 6  # times that a word must come before a penalty on its count must show
_SHORT = 0.98  # part of what was asked for under which a reply that "ran out of length" was cut


class ParameterFacts(Result):
    """What the trials came to."""

    rows: tuple[Capability, ...]
    requests: int
    clipped: int  # tokens at which long replies are cut though more were asked for; 0: not seen
    blind_from: int  # tokens of the shortest prompt whose beginning is not seen; 0: not seen
    sees_to: int  # tokens of the longest prompt whose beginning is seen; 0: none was tried
    stuck: str  # how sampling fails: "greedy", "stored", "random" or empty
    stream_differs: bool


def parameter_facts(tried: Sequence[Tried]) -> ParameterFacts:
    """Judge every trial that was made."""
    trials = {one.name: one for one in tried}
    texts = {name: [_plain(reply.text) for reply in one.replies if not reply.lost] for name, one in trials.items()}
    greedy = [text for text in texts.get("greedy", []) if text]
    sampled = [text for text in texts.get("sampled", []) if text]
    stuck, temperature = _temperature(greedy, sampled, texts.get("plain", []))
    differs, streamed = _streamed(greedy, texts.get("streamed", []))
    clipped, length = _long(trials.get("long"))
    rungs = _rungs(trials)
    blind = min((tokens for tokens, state in rungs.items() if state is State.IGNORED), default=0)
    seen = max((tokens for tokens, state in rungs.items() if state is State.YES), default=0)
    rows = [
        _row("repeats at temperature 0", *_repeats(greedy)),
        _row("temperature", *temperature),
        _row("top_p", *_narrowed(trials.get("top_p"), greedy)),
        _row("top_k", *_narrowed(trials.get("top_k"), greedy)),
        *(_penalty(name, trials, texts) for name in ("presence", "frequency")),
        _row("streams the same text", *streamed),
        _row("finish_reason", *_finish(trials.get("short"))),
        *([_row("long replies", *length)] if "long" in trials else []),
        *(_row(f"sees prompts of {tokens:,} tokens", state, "") for tokens, state in rungs.items()),
    ]
    return ParameterFacts(
        rows=tuple(rows), requests=sum(len(one.replies) for one in tried), clipped=clipped,
        blind_from=blind if seen and seen < blind else 0, sees_to=seen, stuck=stuck, stream_differs=differs,
    )  # fmt: skip


Judged = tuple[State, str]


def _row(name: str, state: State, detail: str) -> Capability:
    return Capability(name=name, state=state, detail=detail)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip()


def _repeats(greedy: Sequence[str]) -> Judged:
    """The floor: how many of the repetitions at temperature 0 are the same."""
    if len(greedy) < 2:
        return State.UNKNOWN, ""
    distinct = len(set(greedy))
    return (State.YES, "") if distinct == 1 else (State.NO, f"{distinct} texts in {len(greedy)} repetitions")


def _temperature(greedy: Sequence[str], sampled: Sequence[str], plain: Sequence[str]) -> tuple[str, Judged]:
    """Temperature 0 must begin alike, temperature 1 must not end alike.

    Where all replies at temperature 0 differ, either may be the reason, and nothing is said.

    A busy host breaks ties anew in every batch: replies at 0 are called drawn only if two questions begin otherwise each time.
    """
    if len(greedy) < 3 or len(sampled) < 3:
        return "", (State.UNKNOWN, "")
    begin = {text.split()[0] for text in greedy}
    varied = len(begin) >= len(greedy) - 1 and len(set(greedy)) == len(greedy)
    if varied and len({text.split()[0] for text in plain if text}) > 1:
        return "random", (State.IGNORED, f"temperature 0 gives {len(set(greedy))} beginnings in {len(greedy)} replies")
    if len(set(sampled)) == 1:
        same = any(sampled[0].startswith(text) for text in greedy)
        how = "the one of temperature 0" if same else "the same"
        return ("greedy" if same else "stored"), (State.IGNORED, f"{len(sampled)} draws at temperature 1 are {how}")
    if len(set(greedy)) == len(greedy):
        return "", (State.UNKNOWN, f"{len(greedy)} texts in {len(greedy)} replies at temperature 0")
    return "", (State.YES, "")


def _narrowed(trial: Tried | None, greedy: Sequence[str]) -> Judged:
    """A cut-off that leaves one token must give the text of temperature 0."""
    texts, refused = _heard(trial)
    if refused:
        return State.NO, refused
    if len(texts) < 2 or not greedy:
        return State.UNKNOWN, ""
    alike = sum(any(one.startswith(text) for one in greedy) for text in texts)
    if alike >= len(texts) - 1:
        return State.YES, ""
    if not alike and len(set(texts)) == len(texts) and len(set(greedy)) == 1:
        return State.IGNORED, f"{len(texts)} texts though one token is left"
    return State.UNKNOWN, f"{alike} of {len(texts)} as at temperature 0"


def _penalty(name: str, trials: Mapping[str, Tried], texts: Mapping[str, Sequence[str]]) -> Capability:
    """A penalty must change a text that repeats itself; one on mere presence need not."""
    title = f"{name}_penalty"
    changed, refused = _heard(trials.get(name))
    plain = texts.get("plain", [])
    if refused:
        return _row(title, State.NO, refused)
    if not changed or len(plain) < 2 or len(set(plain)) > 1:
        return _row(title, State.UNKNOWN, "")
    if changed[0] != plain[0]:
        return _row(title, State.YES, "")
    words = plain[0].lower().split()
    often = max((words.count(word) for word in set(words)), default=0)
    surely = name == "frequency" and often >= _REPEATS
    return _row(
        title, State.IGNORED if surely else State.UNKNOWN, f"the same text, one word {often} times" if surely else ""
    )


def _streamed(greedy: Sequence[str], streamed: Sequence[str]) -> tuple[bool, Judged]:
    if not streamed or len(greedy) < 2:
        return False, (State.UNKNOWN, "")
    if any(text in greedy for text in streamed):
        return False, (State.YES, "")
    if len(set(greedy)) > 1:
        return False, (State.UNKNOWN, "texts differ without streaming, too")
    shared = max(_shared(greedy[0], text) for text in streamed)
    return True, (State.NO, f"another text from character {shared + 1} on")


def _shared(one: str, other: str) -> int:
    """How many characters two texts begin with in common."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


def _finish(trial: Tried | None) -> Judged:
    """A reply that ends at exactly the tokens that were asked for, twice, did not stop by itself."""
    if not trial:
        return State.UNKNOWN, ""
    cut = [reply for reply in trial.replies if not reply.lost and reply.billed == trial.asked]
    if len(cut) < 2:
        return State.UNKNOWN, ""
    wrong = sorted({reply.finish or "none" for reply in cut if reply.finish != "length"})
    return (State.IGNORED, f"{', '.join(wrong)} at the last token that was allowed") if wrong else (State.YES, "")


def _long(trial: Tried | None) -> tuple[int, Judged]:
    """A reply that ends for its length must have the length that was asked for."""
    ended = [reply for reply in (trial.replies if trial else ()) if not reply.lost and reply.billed]
    if not trial or len(ended) < len(trial.replies):
        return 0, (State.UNKNOWN, "")
    cut = [
        reply.billed or 0 for reply in ended if reply.finish == "length" and (reply.billed or 0) < _SHORT * trial.asked
    ]
    if len(cut) == len(ended) > 2 and len(set(cut)) == 1:  # who counts with another tokenizer bills each otherwise
        return max(cut), (State.IGNORED, f"cut after {max(cut):,} of {trial.asked:,} tokens")
    whole = any(reply.billed == trial.asked for reply in ended)
    return 0, (State.YES if whole else State.UNKNOWN, "" if whole else "replies ended before")


def _rungs(trials: Mapping[str, Tried]) -> dict[int, State]:
    """Per planned length of prompts, in tokens, whether the beginning is seen; what is billed proves nothing."""
    pairs: dict[int, list[Tried]] = {}
    for name, trial in trials.items():
        if name.startswith("context-"):
            pairs.setdefault(int(name.split("-")[1]), []).append(trial)
    return {planned: _seen(pair) for planned, pair in sorted(pairs.items())}


def _seen(pair: Sequence[Tried]) -> State:
    """Whether two prompts that differ at their beginning are told apart, beyond what repetitions of one differ by."""
    replies = [reply for one in pair for reply in one.replies]
    if len(pair) != 2 or any(reply.lost for reply in replies):
        return State.NO if any(reply.lost.startswith("refused") for reply in replies) else State.UNKNOWN
    first, second = (one.replies for one in pair)
    texts = [{_plain(reply.text) for reply in one} for one in (first, second)]
    if not texts[0] & texts[1] and all(len(one) == 1 for one in texts):
        return State.YES
    if all(reply.told for reply in replies):
        between = min(_gap(a, b) for a in first for b in second)
        floor = max(_gap(one.replies[0], one.replies[-1]) for one in pair)
        if between > max(SEEN, _OVER_FLOOR * floor):
            return State.YES
        return State.IGNORED if between < BLIND else State.UNKNOWN
    return State.UNKNOWN


def _gap(one: Reply, other: Reply) -> float:
    """The largest difference of log-probabilities over all tokens of two replies; as good as infinite where they have none in
    common. One token would not do: logits in bf16 are so coarse that many are the same by chance.
    """
    first, second = (reply.told.pairs() if reply.told else [] for reply in (one, other))
    if not first or len(first) != len(second):
        return 1e3
    gaps = []
    for here, there in zip(map(dict, first), map(dict, second), strict=True):
        told = [abs(here[name] - there[name]) for name in here.keys() & there.keys() if _SURE < here[name] < _NEVER]
        gaps += told if len(told) >= _SHARED else []
    return max(gaps) if len(gaps) >= _SHARED * _SHARED else 1e3


def _heard(trial: Tried | None) -> tuple[list[str], str]:
    """Texts of a trial, and why it was refused."""
    replies = trial.replies if trial else ()
    refused = next((reply.lost for reply in replies if reply.lost.startswith("refused")), "")
    return [_plain(reply.text) for reply in replies if not reply.lost and reply.text], refused

"""The files tier: the prompts of two sides that lie on disk.

sources -> tokenizers -> prompts -> diagnosis -> verdict. Every stage is one function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import JsonValue

from harness.comparisons.templates import GoldenDifference
from harness.prompting.evidence import Paired, card_of, family_of, pair_probes, pair_prompts, refuse_broken_tokenizer
from harness.prompting.tokenizers import compare_by_effect, read_again
from harness.prompts.cases import load_cases
from harness.prompts.conversation import FROZEN_CLOCK, LLAMACPP_CLOCK, Conversation, Coverage, Dialect, Probe
from harness.prompts.deviations import profiles
from harness.prompts.golden import GOLDEN
from harness.prompts.jinja.process import PromptProcess
from harness.prompts.variants import Bench, after_replies
from harness.reports.prompt_card import PromptCard
from harness.targets.checkpoint.target import Workers
from harness.targets.prompt_source import PromptSource, open_prompt_source
from harness.targets.template_files import LEGACY, READERS
from harness.verdicts.model import Outcome
from harness.verdicts.tokens_in import SideFacts, SourceFacts, TokensIn, UnseenFacts, judge_tokens_in

PROBES_KEPT = 40  # that differ; a card need not hold more of them
UNSEEN_KEPT = 40
#: Stand-ins for the special tokens of a bare template: it cannot be blamed for not bringing its own.
_PLACEHOLDERS: dict[str, JsonValue] = {
    name: f"<{name}>" for name in ("bos_token", "eos_token", "unk_token", "pad_token")
}


def compare_templates(reference: str, candidate: str, cache: Path) -> PromptCard:
    """Compare the prompts of two sources; raises a TargetRefused for a source that cannot be read."""
    ours, theirs = open_prompt_source(reference, cache), open_prompt_source(candidate, cache)
    evidence, clock = read_tokens_in(ours, theirs, cache)
    return card_of(evidence, judge_tokens_in(evidence), clock)


def read_tokens_in(
    reference: PromptSource, candidate: PromptSource, cache: Path, workers: Workers | None = None
) -> tuple[TokensIn, str]:
    """Everything that can be known of two sides' prompts without a model, and the clock that they were made under.

    Every verb that compares sources on disk comes through here.
    """
    ours, theirs = borrow(reference, candidate)
    with PromptProcess() as process:
        for side in (ours, theirs):
            refuse_broken_tokenizer(process, side)
        clock = LLAMACPP_CLOCK if "llamacpp" in {ours.runtime, theirs.runtime} else FROZEN_CLOCK
        tokenizers = compare_by_effect(process, ours, theirs)
        if tokenizers.of_form:
            ours, theirs, tokenizers = read_again(process, ours, theirs, tokenizers, cache, workers)
        benches = _benches(process, ours, theirs)
        bench, other = benches(clock)
        cases = load_cases(own_control=bench.family.turn_end)
        asked = [conversation for case in cases for conversation in case.conversations]
        profile = profiles("llama.cpp", theirs.build).get("llama.cpp", ()) if theirs.build else ()
        both = ours.renders and theirs.renders
        paired = pair_prompts(bench, other, cases, profile) if both else Paired([])
        sides = tuple(side_facts(process, side, b, asked) for side, b in ((ours, bench), (theirs, other)))
        evidence = TokensIn(
            pairs=tuple(paired.pairs),
            diagnosis=paired.diagnosis,
            tokenizer=tuple(tokenizers.rules),
            golden=tuple(tokenizers.golden),
            decoded=tuple(tokenizers.decoded),
            of_form=tokenizers.settled,
            reference=sides[0],
            candidate=sides[1],
            engine=f"llama.cpp {theirs.build}" if theirs.build else "",
            on_disk=True,
            deviations=paired.deviations,
            sources=tuple(_sources(process, ours, theirs, asked)),
        )
        if both and judge_tokens_in(evidence)[0].outcome is not Outcome.BEYOND:
            evidence = _explored(process, ours, theirs, asked, benches, evidence)
    return evidence, clock


def _benches(process: PromptProcess, ours: PromptSource, theirs: PromptSource) -> Callable[[str], tuple[Bench, Bench]]:
    """Both sides at a time of day."""

    def made(clock: str) -> tuple[Bench, Bench]:
        return tuple(  # type: ignore[return-value]
            Bench(process, family_of(side), side.tokenizer, Dialect(runtime=side.runtime, clock=clock))
            for side in (ours, theirs)
        )

    return made


def _explored(
    process: PromptProcess,
    ours: PromptSource,
    theirs: PromptSource,
    asked: list[Conversation],
    benches: Callable[[str], tuple[Bench, Bench]],
    evidence: TokensIn,
) -> TokensIn:
    """Requests made for what only one of the templates decides, and what none of them showed."""
    fixed = "llamacpp" in {ours.runtime, theirs.runtime}  # whose clock stands still
    with_tools = [conversation for conversation in asked if conversation.tools is not None]
    parts = [("", ours.template, theirs.template, asked)]
    if ours.tool_template or theirs.tool_template:
        mine, other = ours.tool_template or ours.template, theirs.tool_template or theirs.template
        parts.append(("tool_use ", mine, other, with_tools))
    found: list[UnseenFacts] = []
    probes: list[Probe] = []
    left_out = 0
    for name, mine, other, conversations in parts:
        if not mine or not other or mine == other:
            continue
        for role, source, against, side in (("candidate", other, mine, theirs), ("reference", mine, other, ours)):
            one = process.explore(source, against, conversations, side.variables)
            probes += [p for p in one.probes if p.clock == FROZEN_CLOCK or not fixed]
            left_out += one.left_out
            facts = [UnseenFacts(side=role, line=u.line, kind=u.kind, words=name + u.words) for u in one.unseen]
            broken = [UnseenFacts(side=role, line=0, kind="problem", words=name + one.problem)] if one.problem else []
            found += facts + broken
    clock = LLAMACPP_CLOCK if fixed else FROZEN_CLOCK
    probes = [probe.model_copy(update={"clock": clock}) if fixed else probe for probe in probes]
    pairs = pair_probes(benches, probes, evidence.diagnosis)
    return evidence.model_copy(
        update={
            "probed": len(pairs),
            "probes": tuple(pair for pair in pairs if not pair.equal)[:PROBES_KEPT],
            "unseen": tuple(found[:UNSEEN_KEPT]),
            "left_out": left_out,
        }
    )


def _sources(
    process: PromptProcess, ours: PromptSource, theirs: PromptSource, asked: list[Conversation]
) -> Iterator[SourceFacts]:
    """Further templates in the candidate's folder that are not what is judged, and that the reference does not hold, too."""
    known = {text for _, text in ours.files.sources}
    first = theirs.files.sources[:1]
    if first and first[0][0] == LEGACY:
        yield SourceFacts(file=LEGACY, judged=LEGACY, readers=READERS[LEGACY], differing=0, conversations=0)
    for file, text in theirs.files.sources[1:]:
        if text in {first[0][1], *known}:
            continue
        bench = Bench(process, family_of(theirs), theirs.tokenizer)
        other = Bench(process, replace(family_of(theirs), template=text), theirs.tokenizer)
        apart = sum(a.text != b.text for a, b in zip(bench.prompts(asked), other.prompts(asked), strict=True))
        yield SourceFacts(
            file=file, judged=first[0][0], readers=READERS[file], differing=apart, conversations=len(asked)
        )
    mine, other_names = ours.files.named, theirs.files.named
    for name in sorted({*mine, *other_names} - {"tool_use"}):
        if mine.get(name) != other_names.get(name):
            yield SourceFacts(file=name, judged="", readers="", differing=0, conversations=0)


def borrow(ours: PromptSource, theirs: PromptSource) -> tuple[PromptSource, PromptSource]:
    """A bare template is read with the other side's tokenizer and special tokens, or with stand-ins where it has none."""

    def completed(side: PromptSource, other: PromptSource) -> PromptSource:
        if side.kind != "template" or not other.renders:
            return side
        variables = _PLACEHOLDERS | other.variables | side.variables
        return replace(side, variables=variables, tokenizer=other.tokenizer, stop_ids=other.stop_ids)

    return completed(ours, theirs), completed(theirs, ours)


def golden_differences(
    process: PromptProcess,
    tokenizer: Path,
    encode: Callable[[str], Sequence[int] | None],
    *,
    normalized: bool = True,
    unanswered: bool = False,
) -> list[GoldenDifference]:
    """Golden strings that the other side turns into other ids; without ``normalized`` letters stay as they were sent.

    ``unanswered`` leaves out what the other side gave no ids for: a host may refuse a text for reasons of its own.
    """
    mine = process.encode(tokenizer, [[(text, False)] for text in GOLDEN], normalized=normalized)
    other = [encode(text) for text in GOLDEN]
    return [
        GoldenDifference(text=text, reference=a or (), candidate=tuple(b or ()))
        for text, a, b in zip(GOLDEN, mine, other, strict=True)
        if a != (None if b is None else tuple(b)) and not (unanswered and b is None)
    ]


def side_facts(
    process: PromptProcess, side: PromptSource, bench: Bench, conversations: list[Conversation]
) -> SideFacts:
    """What a report says of one side, and whether what ends its turns also ends its replies."""
    end, ids, last = bench.family.turn_end, None, None
    closing: set[int] = set()
    if side.tokenizer is not None:
        eos = str(side.variables.get("eos_token") or "")
        ids, last = process.encode(side.tokenizer, [[(end, False)], [(eos, False)]])
        after = process.encode(side.tokenizer, [[(text, False)] for text in after_replies(bench)])
        closing = {token for found in after for token in found or ()}
    return SideFacts(
        name=side.name,
        kind=side.kind,
        template=side.template_digest,
        tokenizer=side.tokenizer_digest,
        turn_end=end,
        turn_end_ids=ids or (),
        # engines stop at the tokenizer's own end of text, too
        stop_ids=(stops := tuple(sorted({*side.stop_ids, *(last if last and len(last) == 1 else ())}))),
        closing_ids=tuple(sorted(closing & set(stops))),
        coverage=process.cover(side.template, conversations, side.variables) if side.template else Coverage(),
        doubles_bos=side.adds_bos and bench.starts_with_bos(),
        unread=side.unread,
        bare=side.bare or side.kind not in {"checkpoint", "gguf"},
    )

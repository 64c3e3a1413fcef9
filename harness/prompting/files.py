"""The tokens-in check, told once: do two sides turn the same requests into the same prompts, and if not, by which fault?

sources -> tokenizers -> prompts -> diagnosis -> verdict. Every stage is one function; no model is loaded.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from harness import __version__
from harness.comparisons.templates import GoldenDifference, PromptPair
from harness.comparisons.tokenizers import TokenizerDifference, compare_tokenizers
from harness.errors import BrokenCheckpoint
from harness.prompts.cases import Case, load_cases
from harness.prompts.conversation import FROZEN_CLOCK, Conversation, Coverage
from harness.prompts.diagnosis import Diagnosis, diagnose
from harness.prompts.faults import Family
from harness.prompts.forms import Edit, form_edits
from harness.prompts.golden import GOLDEN
from harness.prompts.jinja.process import PromptProcess, renderer_version
from harness.prompts.variants import Bench, Prompt
from harness.reports.prompt_card import PromptCard
from harness.targets.prompt_source import PromptSource, open_prompt_source
from harness.verdicts.tokens_in import DiagnosisFacts, SideFacts, TokensIn, judge_tokens_in

_EDITS = 6  # structural differences that a card shows

#: Stand-ins for the special tokens of a bare template: it cannot be blamed for not bringing its own.
_PLACEHOLDERS: dict[str, JsonValue] = {
    name: f"<{name}>" for name in ("bos_token", "eos_token", "unk_token", "pad_token")
}


def compare_templates(reference: str, candidate: str, cache: Path) -> PromptCard:
    """Compare the prompts of two sources; raises a TargetRefused for a source that cannot be read."""
    ours, theirs = borrow(open_prompt_source(reference, cache), open_prompt_source(candidate, cache))
    with PromptProcess() as process:
        for side in (ours, theirs):
            refuse_broken_tokenizer(process, side)
        bench, other = Bench(process, _family(ours), ours.tokenizer), Bench(process, _family(theirs), theirs.tokenizer)
        rules, golden = _tokenizers(process, ours, theirs)
        cases = load_cases(own_control=bench.family.turn_end)
        asked = [conversation for case in cases for conversation in case.conversations]
        pairs, diagnosis = _prompts(bench, other, cases) if ours.template and theirs.template else ([], None)
        sides = tuple(_facts(process, side, b, asked) for side, b in ((ours, bench), (theirs, other)))
    evidence = TokensIn(
        pairs=tuple(pairs),
        diagnosis=diagnosis,
        tokenizer=tuple(rules),
        golden=tuple(golden),
        reference=sides[0],
        candidate=sides[1],
    )
    verdict, findings = judge_tokens_in(evidence)
    return PromptCard(
        fidelity_version=__version__,
        renderer=renderer_version(),
        clock=FROZEN_CLOCK,
        evidence=evidence,
        verdict=verdict,
        findings=tuple(findings),
    )


def refuse_broken_tokenizer(process: PromptProcess, side: PromptSource) -> None:
    """A tokenizer that cannot be read must not pass for one that agrees."""
    if side.tokenizer is not None and process.encode(side.tokenizer, [[("a", False)]])[0] is None:
        raise BrokenCheckpoint(
            "the tokenizer cannot be read",
            where=side.name,
            fix="fetch tokenizer.json again, or update the tokenizers package",
        )


def borrow(ours: PromptSource, theirs: PromptSource) -> tuple[PromptSource, PromptSource]:
    """A bare template is read with the other side's tokenizer and special tokens, or with stand-ins where it has none."""

    def completed(side: PromptSource, other: PromptSource) -> PromptSource:
        if side.kind != "template" or not other.template:
            return side
        variables = _PLACEHOLDERS | other.variables | side.variables
        return replace(side, variables=variables, tokenizer=other.tokenizer, stop_ids=other.stop_ids)

    return completed(ours, theirs), completed(theirs, ours)


def _family(source: PromptSource) -> Family:
    return Family(source.template, source.variables, bos=str(source.variables.get("bos_token") or ""))


def _tokenizers(
    process: PromptProcess, ours: PromptSource, theirs: PromptSource
) -> tuple[list[TokenizerDifference], list[GoldenDifference]]:
    if ours.tokenizer is None or theirs.tokenizer is None or ours.tokenizer == theirs.tokenizer:
        return [], []
    read: list[dict[str, Any]] = [json.loads(s.read_text(encoding="utf-8")) for s in (ours.tokenizer, theirs.tokenizer)]
    mine, other = (
        process.encode(path, [[(text, False)] for text in GOLDEN]) for path in (ours.tokenizer, theirs.tokenizer)
    )
    golden = [
        GoldenDifference(text=text, reference=a or (), candidate=b or ())
        for text, a, b in zip(GOLDEN, mine, other, strict=True)
        if a != b
    ]
    return compare_tokenizers(*read), golden


def _prompts(bench: Bench, other: Bench, cases: list[Case]) -> tuple[list[PromptPair], DiagnosisFacts | None]:
    """Both sides' prompts, and the faults that turn the reference's into the candidate's."""
    conversations = [c for case in cases for c in case.conversations]
    ours, theirs = bench.prompts(conversations), other.prompts(conversations)
    places = [(case.id, number) for case in cases for number in range(len(case.conversations))]
    pairs = [
        _pair(place, conversation, a, b)
        for place, conversation, a, b in zip(places, conversations, ours, theirs, strict=True)
    ]
    if all(pair.equal for pair in pairs):
        return pairs, None
    found = diagnose(bench, conversations, [_seen(prompt) for prompt in theirs], _seen)
    if not found.differing:  # equal as texts: the fault lies in the ids
        found = diagnose(bench, conversations, [prompt.ids for prompt in theirs], lambda prompt: prompt.ids)
    edits: list[Edit] = []
    if not found.named:
        first = next((k for k, pair in enumerate(pairs) if pair.status in {"differs", "whitespace"}), None)
        edits = [] if first is None else structural_edits(bench, other, conversations[first])
    return pairs, _diagnosis(found, edits)


def _seen(prompt: Prompt) -> str:
    return prompt.text if prompt.text is not None else "(no prompt)"  # how it fails differs from engine to engine


def structural_edits(bench: Bench, other: Bench, conversation: Conversation) -> list[Edit]:
    """How two renderings of one conversation differ in structure; in the hostile pass where the neutral one is equal."""
    for hostile in (False, True):
        ours, theirs = bench.form(conversation, hostile=hostile), other.form(conversation, hostile=hostile)
        edits = form_edits(ours, theirs) if ours and theirs else []
        if edits:
            return edits
    return []


def _diagnosis(found: Diagnosis, edits: list[Edit]) -> DiagnosisFacts:
    return DiagnosisFacts(
        named=found.named,
        closest=found.closest,
        explained=found.explained,
        compared=found.compared,
        edits=tuple(f"{e.kind} {e.path}: {e.reference!r} -> {e.candidate!r}" for e in edits[:_EDITS]),
    )


def _pair(place: tuple[str, int], conversation: Conversation, a: Prompt, b: Prompt) -> PromptPair:
    return PromptPair(
        case=place[0],
        number=place[1],
        request=conversation.model_dump(mode="json"),
        reference=a.text,
        candidate=b.text,
        reference_problem="" if a.text is not None else f"{a.rendered.outcome}: {a.rendered.problem}",
        candidate_problem="" if b.text is not None else f"{b.rendered.outcome}: {b.rendered.problem}",
        reference_ids=a.ids,
        candidate_ids=b.ids,
    )


def _facts(process: PromptProcess, side: PromptSource, bench: Bench, conversations: list[Conversation]) -> SideFacts:
    """What a report says of one side, and whether what ends its turns also ends its replies."""
    end, ids, last = bench.family.turn_end, None, None
    if side.tokenizer is not None:
        eos = str(side.variables.get("eos_token") or "")
        ids, last = process.encode(side.tokenizer, [[(end, False)], [(eos, False)]])
    return SideFacts(
        name=side.name,
        kind=side.kind,
        template=side.template_digest,
        tokenizer=side.tokenizer_digest,
        turn_end=end,
        turn_end_ids=ids or (),
        # engines stop at the tokenizer's own end of text, too
        stop_ids=tuple(sorted({*side.stop_ids, *(last if last and len(last) == 1 else ())})),
        coverage=process.cover(side.template, conversations, side.variables) if side.template else Coverage(),
        doubles_bos=side.adds_bos and bench.starts_with_bos(),
    )

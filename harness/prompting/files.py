"""The files tier: the prompts of two sides that lie on disk.

sources -> tokenizers -> prompts -> diagnosis -> verdict. Every stage is one function.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from harness.comparisons.templates import GoldenDifference
from harness.comparisons.tokenizers import TokenizerDifference, compare_tokenizers
from harness.prompting.evidence import Paired, card_of, family_of, pair_prompts, refuse_broken_tokenizer
from harness.prompts.cases import load_cases
from harness.prompts.conversation import FROZEN_CLOCK, LLAMACPP_CLOCK, Conversation, Coverage, Dialect
from harness.prompts.deviations import profiles
from harness.prompts.golden import GOLDEN
from harness.prompts.jinja.process import PromptProcess
from harness.prompts.variants import Bench
from harness.reports.prompt_card import PromptCard
from harness.targets.prompt_source import PromptSource, open_prompt_source
from harness.verdicts.tokens_in import SideFacts, TokensIn, judge_tokens_in

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
        clock = LLAMACPP_CLOCK if "llamacpp" in {ours.runtime, theirs.runtime} else FROZEN_CLOCK
        bench, other = (
            Bench(process, family_of(side), side.tokenizer, Dialect(runtime=side.runtime, clock=clock))
            for side in (ours, theirs)
        )
        rules, golden = _tokenizers(process, ours, theirs)
        cases = load_cases(own_control=bench.family.turn_end)
        asked = [conversation for case in cases for conversation in case.conversations]
        profile = profiles("llama.cpp", theirs.build).get("llama.cpp", ()) if theirs.build else ()
        paired = pair_prompts(bench, other, cases, profile) if ours.renders and theirs.renders else Paired([])
        sides = tuple(side_facts(process, side, b, asked) for side, b in ((ours, bench), (theirs, other)))
    evidence = TokensIn(
        pairs=tuple(paired.pairs),
        diagnosis=paired.diagnosis,
        tokenizer=tuple(rules),
        golden=tuple(golden),
        reference=sides[0],
        candidate=sides[1],
        engine=f"llama.cpp {theirs.build}" if theirs.build else "",
        on_disk=True,
        deviations=paired.deviations,
    )
    return card_of(evidence, judge_tokens_in(evidence), clock)


def borrow(ours: PromptSource, theirs: PromptSource) -> tuple[PromptSource, PromptSource]:
    """A bare template is read with the other side's tokenizer and special tokens, or with stand-ins where it has none."""

    def completed(side: PromptSource, other: PromptSource) -> PromptSource:
        if side.kind != "template" or not other.renders:
            return side
        variables = _PLACEHOLDERS | other.variables | side.variables
        return replace(side, variables=variables, tokenizer=other.tokenizer, stop_ids=other.stop_ids)

    return completed(ours, theirs), completed(theirs, ours)


def _tokenizers(
    process: PromptProcess, ours: PromptSource, theirs: PromptSource
) -> tuple[list[TokenizerDifference], list[GoldenDifference]]:
    if ours.tokenizer is None or theirs.tokenizer is None or ours.tokenizer == theirs.tokenizer:
        return [], []
    read: list[dict[str, Any]] = [json.loads(s.read_text(encoding="utf-8")) for s in (ours.tokenizer, theirs.tokenizer)]
    other = process.encode(theirs.tokenizer, [[(text, False)] for text in GOLDEN])
    return compare_tokenizers(*read), golden_differences(
        process, ours.tokenizer, dict(zip(GOLDEN, other, strict=True)).get
    )


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
        unread=side.unread,
    )

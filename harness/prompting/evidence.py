"""What every way of access shares: one side made ready, prompts paired, and the fault that explains the pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import JsonValue

from harness import __version__
from harness.comparisons.templates import PromptPair
from harness.errors import BrokenCheckpoint
from harness.prompts.cases import Case
from harness.prompts.conversation import BY_THE_HOST, Conversation, Probe
from harness.prompts.deviations import Deviation, supported
from harness.prompts.diagnosis import Diagnosis, Reading, diagnose
from harness.prompts.faults import Family, Fault, fault
from harness.prompts.forms import Edit, Form, form_edits
from harness.prompts.jinja.process import PromptProcess, renderer_version
from harness.prompts.variants import Bench, Prompt
from harness.reports.prompt_card import PromptCard
from harness.targets.prompt_source import PromptSource
from harness.verdicts.model import AxisVerdict, Finding
from harness.verdicts.prompt_counts import CountsIn
from harness.verdicts.self_render import SelfRenderIn
from harness.verdicts.tokens_in import DeviationFacts, DiagnosisFacts, TokensIn

_EDITS = 6  # structural differences that a card shows


class Prompts(Protocol):
    """A side that makes prompts: a bench of local files, or a server that shows its own."""

    def prompts(self, conversations: Sequence[Conversation]) -> list[Prompt]:
        """The prompts of conversations."""

    def form(self, conversation: Conversation, *, hostile: bool) -> Form | None:
        """The structural form of one prompt."""


@dataclass(frozen=True, slots=True)
class Paired:
    """Prompts side by side, what explains their differences, and what an engine does otherwise on purpose."""

    pairs: list[PromptPair]
    diagnosis: DiagnosisFacts | None = None
    deviations: tuple[DeviationFacts, ...] = ()


def card_of(
    evidence: TokensIn | CountsIn | SelfRenderIn, judged: tuple[AxisVerdict, Sequence[Finding]], clock: str
) -> PromptCard:
    """The card of judged evidence, with the version, the renderer and the clock that its prompts were made under."""
    verdict, findings = judged
    return PromptCard(
        fidelity_version=__version__,
        renderer=renderer_version(),
        clock=clock,
        evidence=evidence,
        verdict=verdict,
        findings=tuple(findings),
    )


def family_of(source: PromptSource) -> Family:
    """What faults need to know of a side."""
    return Family(
        source.template,
        source.variables,
        bos=str(source.variables.get("bos_token") or ""),
        encoder=source.encoder,
        encoder_file=str(source.encoder_file or ""),
        tool_template=source.tool_template,
    )


def refuse_broken_tokenizer(process: PromptProcess, side: PromptSource) -> None:
    """A tokenizer that cannot be read must not pass for one that agrees."""
    if side.tokenizer is not None and process.encode(side.tokenizer, [[("a", False)]])[0] is None:
        raise BrokenCheckpoint(
            "the tokenizer cannot be read",
            where=side.name,
            fix="fetch tokenizer.json again, or update the tokenizers package",
        )


def pair_prompts(
    bench: Bench, other: Prompts, cases: Sequence[Case], profile: Sequence[Deviation] = (), *, ids_first: bool = False
) -> Paired:
    """Both sides' prompts, and the faults that turn the reference's into the candidate's.

    ``profile`` are deviations of the candidate's engine; ``ids_first`` says that the candidate is a running engine: its
    ids decide where it shows them, and its texts may lack the begin-of-text token.
    """
    conversations = [c for case in cases for c in case.conversations]
    places = [(case.id, number) for case in cases for number in range(len(case.conversations))]
    ours, theirs = bench.prompts(conversations), other.prompts(conversations)
    by_ids = ids_first and any(prompt.ids for prompt in theirs)
    if ids_first and not by_ids:
        theirs = _with_bos(bench.family.bos, ours, theirs)
    first, second = (_ids, _text) if by_ids else (_text, _ids)
    known = [None if prompt.rendered.problem.startswith(BY_THE_HOST) else prompt for prompt in theirs]
    seen = [None if prompt is None else first(prompt) for prompt in known]
    present = supported(bench, conversations, seen, first, profile) if profile else ()
    meant = bench.prompts(conversations, [entry.fault for entry in present])
    pairs = [
        _pair(place, conversation, a, b, documented=first(b) == first(m) and first(a) != first(m))
        for place, conversation, a, b, m in zip(places, conversations, ours, theirs, meant, strict=True)
    ]
    acting = tuple(_deviation(bench, conversations, entry, pairs) for entry in present)
    acting = tuple(entry for entry in acting if entry.conversations)
    if all(pair.equal for pair in pairs):
        return Paired(pairs, deviations=acting)
    base = [entry.fault for entry in present]
    found = _diagnosed(bench, conversations, known, first, base)
    if not found.named:
        closer = _diagnosed(bench, conversations, known, second, base)
        found = closer if closer.named or not found.differing else found
    one_sided = 0
    if not found.named:  # a stricter or laxer template must not hide the fault beside it
        rendered = [pair.reference is not None and pair.candidate is not None for pair in pairs]
        both = [prompt if kept else None for prompt, kept in zip(known, rendered, strict=True)]
        partly = _diagnosed(bench, conversations, both, first, base)
        if partly.named:
            found, one_sided = partly, sum(pair.status == "only one side renders" for pair in pairs)
    edits: list[Edit] = []
    if not found.named:
        at = next((k for k, pair in enumerate(pairs) if pair.status in {"differs", "whitespace"}), None)
        edits = [] if at is None else structural_edits(bench, other, conversations[at])
    return Paired(pairs, _diagnosis(found, edits, one_sided), acting)


def structural_edits(bench: Bench, other: Prompts, conversation: Conversation) -> list[Edit]:
    """How two renderings of one conversation differ in structure; in the hostile pass where the neutral one is equal."""
    for hostile in (False, True):
        ours, theirs = bench.form(conversation, hostile=hostile), other.form(conversation, hostile=hostile)
        edits = form_edits(ours, theirs) if ours and theirs else []
        if edits:
            return edits
    return []


def pair_probes(
    benches: Callable[[str], tuple[Bench, Prompts]],
    probes: Sequence[Probe],
    diagnosis: DiagnosisFacts | None,
    base: Sequence[Fault] = (),
) -> list[PromptPair]:
    """Both sides' prompts of probes; ``benches`` makes the two sides for a time of day.

    What a fault explains that was named before is no news, nor what an engine does on purpose (``base``): there the
    reference's prompts are made under it.
    """
    named = diagnosis.named[0] if diagnosis and diagnosis.named else ()
    faults = [*base, *(fault(name) for name in named)]
    pairs = []
    for clock in dict.fromkeys(probe.clock for probe in probes):
        ours, theirs = benches(clock)
        part = [probe for probe in probes if probe.clock == clock]
        asked = [probe.conversation for probe in part]
        for k, (probe, a, b) in enumerate(zip(part, ours.prompts(asked, faults), theirs.prompts(asked), strict=True)):
            pair = _pair(("probe", k), probe.conversation, a, b, documented=False)
            told: dict[str, JsonValue] = {"clock": probe.clock, "made": probe.made, "why": probe.why}
            pairs.append(pair.model_copy(update={"request": {**pair.request, **told}}))
    return pairs


def _text(prompt: Prompt) -> str:
    return prompt.text if prompt.text is not None else "(no prompt)"  # how it fails differs from engine to engine


def _with_bos(bos: str, ours: Sequence[Prompt], theirs: list[Prompt]) -> list[Prompt]:
    """Engines may put begin-of-text while they tokenise, and show the text without it: it is put back if that fits."""
    put = [
        Prompt(prompt.rendered.model_copy(update={"text": bos + prompt.rendered.text}), prompt.ids)
        if prompt.text is not None
        else prompt
        for prompt in theirs
    ]
    fits = [sum(a.text == b.text for a, b in zip(ours, side, strict=True)) for side in (theirs, put)]
    return put if bos and fits[1] > fits[0] else theirs


def _ids(prompt: Prompt) -> tuple[int, ...] | str | None:
    return prompt.ids if prompt.text is not None else "(no prompt)"


def _diagnosed(
    bench: Bench,
    conversations: Sequence[Conversation],
    observed: Sequence[Prompt | None],
    reading: Reading,
    base: Sequence[object],
) -> Diagnosis:
    seen = [None if prompt is None else reading(prompt) for prompt in observed]
    return diagnose(bench, conversations, seen, reading, base=base)  # type: ignore[arg-type]


def _diagnosis(found: Diagnosis, edits: list[Edit], one_sided: int) -> DiagnosisFacts:
    return DiagnosisFacts(
        named=found.named,
        closest=found.closest,
        explained=found.explained,
        compared=found.compared,
        one_sided=one_sided,
        edits=tuple(f"{e.kind} {e.path}: {e.reference!r} -> {e.candidate!r}" for e in edits[:_EDITS]),
    )


def _deviation(
    bench: Bench, conversations: Sequence[Conversation], entry: Deviation, pairs: Sequence[PromptPair]
) -> DeviationFacts:
    """A deviation as a report states it, with the number of conversations that it explains."""
    sound, changed = bench.prompts(conversations), bench.prompts(conversations, [entry.fault])
    acting = sum(pair.documented and _ids(a) != _ids(b) for pair, a, b in zip(pairs, sound, changed, strict=True))
    return DeviationFacts(
        engine=", ".join(entry.engines), name=entry.name, why=entry.why, source=entry.source, conversations=acting
    )


def _pair(place: tuple[str, int], conversation: Conversation, a: Prompt, b: Prompt, *, documented: bool) -> PromptPair:
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
        documented=documented,
    )

"""The verdict on a prompt comparison: is what the model sees the same on both sides? Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from harness.comparisons.model import Result
from harness.comparisons.templates import GoldenDifference, PromptPair, is_plain
from harness.comparisons.tokenizers import DecodedDifference, TokenizerDifference
from harness.prompts.conversation import Coverage
from harness.prompts.deviations import MEASURED
from harness.prompts.faults import fault
from harness.verdicts.catalogue import entry
from harness.verdicts.model import AxisVerdict, Cause, Finding, Outcome

#: Differences from this severity on make the prompts count as different; below it they are told, not judged.
MATERIAL = ("S2", "S3", "S4")


class SideFacts(Result):
    """One side of a prompt comparison, as a report states it; digests are empty for what the side lacks.

    ``turn_end`` closes an assistant's turn in the rendering; ``doubles_bos`` says that template and tokenizer would
    both put a begin-of-text token, if an engine lets them; ``unread`` says why a tokenizer was not compared.
    """

    name: str
    kind: str
    template: str
    tokenizer: str
    turn_end: str
    turn_end_ids: tuple[int, ...]
    stop_ids: tuple[int, ...]
    doubles_bos: bool
    coverage: Coverage
    unread: str = ""
    bare: bool = False  # nothing is known of stops, because no configuration was given
    closing_ids: tuple[int, ...] = ()  # stop ids that the template itself puts after a reply


class UnseenFacts(Result):
    """A decision that only one side's template takes and that nothing showed in all its ways.

    ``line`` 0 stands for the whole template: it could not be explored.
    """

    side: str
    line: int
    kind: str
    words: str


class SourceFacts(Result):
    """A further template in the candidate's folder: in which file, which one is judged, who reads it, and what it does.

    ``differing`` of ``conversations`` become other prompts than by the judged one. Without ``judged`` it is a template that
    clients ask for by the name in ``file``.
    """

    file: str
    judged: str
    readers: str
    differing: int
    conversations: int


class DiagnosisFacts(Result):
    """Explanations that reproduce every observation, each one or two fault names; else the closest single fault.

    ``one_sided`` counts conversations that only one side renders and that were left out of the diagnosis, because with
    them nothing was explained: a template that is stricter or laxer than the reference's, beside the named fault.
    """

    named: tuple[tuple[str, ...], ...]
    closest: str
    explained: int
    compared: int
    one_sided: int = 0
    edits: tuple[str, ...] = ()  # structure of the first difference, where no fault reproduces it


class DeviationFacts(Result):
    """A deliberate deviation of the candidate's engine, and how many conversations it explains."""

    engine: str
    name: str
    why: str
    source: str
    conversations: int


class Billed(Result):
    """One chat request that was really sent: the tokens that the engine shows, and those that it bills."""

    case: str
    shown: int
    billed: int | None
    problem: str = ""


class TokensIn(Result):
    """Everything that was measured about two sides' prompts; ``engine`` is empty for files."""

    pairs: tuple[PromptPair, ...]
    diagnosis: DiagnosisFacts | None
    tokenizer: tuple[TokenizerDifference, ...]
    golden: tuple[GoldenDifference, ...]
    reference: SideFacts
    candidate: SideFacts
    engine: str = ""
    on_disk: bool = False  # the engine rendered here, so that no bill has to confirm what it shows
    deviations: tuple[DeviationFacts, ...] = ()
    billed: tuple[Billed, ...] = ()
    decoded: tuple[DecodedDifference, ...] = ()
    of_form: str = (
        ""  # a text that becomes other ids by tokenizer.json to the letter, and the same as transformers reads it
    )
    sources: tuple[SourceFacts, ...] = ()
    probed: int = 0  # requests made for what only one template decides
    probes: tuple[PromptPair, ...] = ()  # those of them that became other prompts
    unseen: tuple[UnseenFacts, ...] = ()
    left_out: int = 0  # requests that were not made for want of time or room

    def count(self, *statuses: str) -> int:
        """How many conversations have one of these statuses."""
        return sum(pair.status in statuses for pair in self.pairs)


class JudgedPrompts(Result):
    """The tokens-in check of a candidate as its card holds it: the verdict, the findings behind it, and what it rests on."""

    verdict: AxisVerdict
    findings: tuple[Finding, ...]
    conversations: int
    probed: int
    shown: tuple[PromptPair, ...] = ()  # the first ones that differ


def judged_prompts(evidence: TokensIn) -> JudgedPrompts:
    """The tokens-in check of a candidate in short."""
    verdict, findings = judge_tokens_in(evidence)
    apart = [*_material(evidence.probes), *_different(evidence)]
    return JudgedPrompts(
        verdict=verdict,
        findings=tuple(findings),
        conversations=len(evidence.pairs),
        probed=evidence.probed,
        shown=tuple(apart[:_SHOWN]),
    )


_SHOWN = 3  # conversations that differ, in the card of a candidate

#: Sides of which it is no news that they bring no template of their own.
_SHOW_NONE = {"tokenizer", "endpoint"}

_TOKENIZERS_ONLY = "Both tokenizers do the same; only they were compared, because not both sides have a template."


def judge_tokens_in(evidence: TokensIn) -> tuple[AxisVerdict, list[Finding]]:
    """The integrity axis, and the findings behind it."""
    told = _template_findings(evidence)
    findings = _tokenizer_findings(evidence) + told + _probe_findings(evidence)
    findings += _side_findings(evidence) + _host_findings(evidence)
    different = _different(evidence)
    ours, theirs = evidence.reference, evidence.candidate
    if ours.template and not theirs.template and theirs.kind not in _SHOW_NONE:
        reason = "The reference ships a chat template and the candidate none; whoever serves it has to guess one."
        return _axis(Outcome.BEYOND, reason, Cause.TEMPLATE), findings
    if theirs.template and not ours.template and ours.kind != "tokenizer":
        return _without_reference(evidence, findings)
    if not evidence.pairs and not (evidence.reference.tokenizer and evidence.candidate.tokenizer):
        reason = "The two sides have nothing in common that could be compared: give two templates or two tokenizers."
        return _axis(Outcome.NOT_TESTABLE, reason), findings
    worst = max((severity_of(finding) for finding in findings), default="S0")
    rank = _rank(told)
    codes = {finding.code for finding in findings}
    if worst in MATERIAL and codes & {"TOKN101", "TOKN102"}:
        reason = "The same text becomes other ids: the tokenizer is not the reference's."
        return _axis(Outcome.BEYOND, reason, Cause.TOKENIZER), findings
    if different and rank == "S2" and _may_be_habit(evidence, different):
        reason = (
            f"{_sentence(evidence, len(different))} All of them are requests that engines prepare by rules of their own, "
            f"and those of {evidence.engine} were not measured; plain conversations are the same."
        )
        return _axis(Outcome.INCONCLUSIVE, reason), findings
    if different and rank in MATERIAL:
        return _axis(Outcome.BEYOND, _sentence(evidence, len(different)), Cause.TEMPLATE), findings
    hidden = _hidden(evidence, codes)
    if hidden is not None:
        return hidden, findings
    judged = [pair for pair in evidence.pairs if pair.status not in {"not applicable", "refused by the host"}]
    refused = evidence.count("refused by the host")
    if evidence.pairs and refused > len(judged):
        return _axis(
            Outcome.NOT_TESTABLE, f"The host refuses {refused} of {len(evidence.pairs)} conversations."
        ), findings
    if "INTG504" in codes:
        return _axis(
            Outcome.NOT_TESTABLE, "The engine bills other prompts than it shows; what it shows proves nothing."
        ), findings
    return _unaccused(evidence, judged, len(different)), findings


def _unaccused(evidence: TokensIn, judged: list[PromptPair], different: int) -> AxisVerdict:
    """The verdict where nothing that matters was found: whether what was seen is enough to say so."""
    if different:
        reason = f"{different} of {len(judged)} prompts differ, in nothing that is known to matter."
        return _axis(Outcome.WITHIN, reason)
    if evidence.pairs and not judged:
        reason = "Neither side renders any of the conversations."
        return _axis(Outcome.NOT_TESTABLE, reason)
    if evidence.engine and not evidence.on_disk and not any(row.billed is not None for row in evidence.billed):
        reason = "What the engine shows is the reference's, but the host bills no prompt tokens that would confirm it."
        return _axis(Outcome.NOT_TESTABLE, reason)
    what = "ids" if any(pair.reference_ids and pair.candidate_ids for pair in judged) else "texts"
    reason = f"All {len(judged)} conversations that apply become the same {what} on both sides."
    if documented := evidence.count("documented"):
        reason = (
            f"{len(judged) - documented} of {len(judged)} conversations become the same {what} on both sides, "
            f"{documented} other ones that {evidence.engine} documents."
        )
    return _axis(Outcome.WITHIN, reason if evidence.pairs else _TOKENIZERS_ONLY)


def _hidden(evidence: TokensIn, codes: set[str]) -> AxisVerdict | None:
    """The verdict on what equal prompts do not show: branches, stops and rules; None where there is nothing of the kind."""
    if "TOKN112" in codes:
        reason = "The same ids become other text: the tokenizer is not the reference's."
        return _axis(Outcome.BEYOND, reason, Cause.TOKENIZER)
    if "TMPL118" in codes:
        shown = _material(evidence.probes)[0].request
        reason = f"The templates part where usual conversations do not lead: {shown['made']} ({shown['why']})."
        return _axis(Outcome.BEYOND, reason, Cause.TEMPLATE)
    if "TOKN106" in codes:
        reason = "Replies do not end: what the template puts after one is no stop for the candidate, and is for the reference."
        return _axis(Outcome.BEYOND, reason, Cause.TEMPLATE)
    if codes & {"TMPL119", "TOKN111"}:
        return _axis(Outcome.INCONCLUSIVE, _not_shown(evidence))
    return None


def _without_reference(evidence: TokensIn, findings: list[Finding]) -> tuple[AxisVerdict, list[Finding]]:
    """A reference without a template, as base models are: only the tokenizers can be judged."""
    codes = {finding.code for finding in findings}
    if codes & {"TOKN101", "TOKN102", "TOKN112"}:
        reason = "The same text becomes other ids, or the same ids other text: the tokenizer is not the reference's."
        return _axis(Outcome.BEYOND, reason, Cause.TOKENIZER), findings
    return _axis(Outcome.NOT_TESTABLE, "The reference has no chat template to compare with."), findings


def _material(pairs: Sequence[PromptPair]) -> list[PromptPair]:
    """Probes whose prompts differ in more than whitespace."""
    return [pair for pair in pairs if pair.status in {"differs", "only one side renders"}]


def _not_shown(evidence: TokensIn) -> str:
    """Why what is equal so far clears nobody."""
    parts = []
    if evidence.unseen:
        first = ", ".join(dict.fromkeys(f"line {u.line} of the {u.side}'s" for u in evidence.unseen[:4]))
        parts.append(
            f"the templates differ in {len(evidence.unseen)} decisions that no conversation showed in all their ways ({first})"
        )
    rules = [d.what for d in evidence.tokenizer if d.needs_proof and evidence.reference.kind == evidence.candidate.kind]
    if rules:
        parts.append(f"the tokenizers differ in {', '.join(rules)}, and no text showed whether it matters")
    return f"Every prompt that was made is the same, but {'; '.join(parts)}."


def _different(evidence: TokensIn) -> list[PromptPair]:
    """Conversations that become other prompts. An engine that takes what the reference has no prompt for is only laxer."""
    return [pair for pair in evidence.pairs if not pair.equal and not (evidence.engine and pair.reference is None)]


def _rank(told: list[Finding]) -> str:
    """How much the differences of prompts matter: of several explanations that all fit, the one that matters least."""
    explained = [severity_of(finding) for finding in told if finding.code in GROUP_CODES.values()]
    others = [severity_of(finding) for finding in told if finding.code not in GROUP_CODES.values()]
    return max([*([min(explained)] if explained else []), *others], default="S0")


def _may_be_habit(evidence: TokensIn, different: list[PromptPair]) -> bool:
    """Whether an engine whose rules nobody measured here may make these prompts on purpose."""
    measured = not evidence.engine or evidence.engine.split(" ")[0] in MEASURED
    return not measured and not any(is_plain(pair.request) for pair in different)


def severity_of(finding: Finding) -> Literal["S0", "S1", "S2", "S3", "S4"]:
    """The severity of a finding: that of its fault where it names one, else that of its code."""
    word = finding.detail.split(" ", 1)[0].rstrip(":")
    if finding.code in GROUP_CODES.values():
        return max((fault(name).severity for name in word.split("+")), default="S2")
    return entry(finding.code).severity


def _axis(outcome: Outcome, reason: str, cause: Cause | None = None) -> AxisVerdict:
    return AxisVerdict(axis="integrity", outcome=outcome, cause=cause, reason=reason)


def _sentence(evidence: TokensIn, different: int) -> str:
    judged = sum(pair.status != "not applicable" for pair in evidence.pairs)
    found = evidence.diagnosis
    head = f"{different} of {judged} conversations become other prompts"
    if found is None or not found.named:
        return f"{head}; no fault of the library reproduces that."
    names = " or ".join(" and ".join(fault(name).title for name in names) for names in found.named[:3])
    return f"{head}: {names}."


#: What is meant to be one token; other ends of turns, such as "###", are words by design.
_CONTROL = re.compile(r"<\|[^|<>\s]+\|>|<[a-z]+_of_turn>|</s>")

GROUP_CODES = {
    "framing": "TMPL110", "source": "TMPL111", "roles": "TMPL112", "tools": "TMPL113", "reasoning": "TMPL114",
    "tokenization": "TOKN110",
}  # fmt: skip


def _template_findings(evidence: TokensIn) -> list[Finding]:
    found: list[Finding] = []
    different = _different(evidence)
    unbounded = [p for p in evidence.pairs if p.candidate_problem.startswith("unbounded")]
    if unbounded:
        found.append(Finding(code="TMPL109", detail=f"{len(unbounded)} conversations, first {unbounded[0].case}"))
    reaching = [pair.candidate_problem for pair in evidence.pairs if "SecurityError" in pair.candidate_problem]
    if reaching:
        found.append(Finding(code="TMPL108", detail=reaching[0]))
    if not different:
        return found
    one_sided = [pair for pair in different if pair.status == "only one side renders"]
    if one_sided and evidence.diagnosis and evidence.diagnosis.one_sided:
        found.append(_one_sided(one_sided))
        different = [pair for pair in different if pair not in one_sided]
        if not different:
            return found
    first = different[0]
    where = f"{len(different)} conversations, first {first.case}"
    names = evidence.diagnosis.named if evidence.diagnosis else ()
    for explanation in names[:3]:
        code = GROUP_CODES[fault(explanation[0]).group]
        titles = "; ".join(fault(name).title for name in explanation)
        tie = f", in a tie of {len(names)}" if len(names) > 1 else ""
        found.append(Finding(code=code, detail=f"{'+'.join(explanation)}: {titles} ({where}{tie})"))
    if names:
        return found
    if all(pair.status == "whitespace" for pair in different):
        return [*found, Finding(code="TMPL107", detail=where)]
    if len(one_sided) == len(different):
        return [*found, _one_sided(one_sided)]
    closest = evidence.diagnosis
    share = (
        f"; closest is {closest.closest}, {closest.explained} of {closest.compared}"
        if closest and closest.closest
        else ""
    )
    return [*found, Finding(code="TMPL106", detail=where + share)]


def _one_sided(pairs: list[PromptPair]) -> Finding:
    first = pairs[0]
    side = "candidate" if first.candidate is None else "reference"
    problem = first.candidate_problem or first.reference_problem
    where = f"{len(pairs)} conversations, first {first.case}"
    return Finding(code="TMPL105", detail=f"the {side} does not render {where}: {problem}"[:400])


def _host_findings(evidence: TokensIn) -> list[Finding]:
    """What only a running engine can show: documented deviations, refusals, and bills that contradict what it shows."""
    found = [
        Finding(code="TMPL115", detail=f"{d.name}: {d.why} ({d.conversations} conversations; {d.engine}, {d.source})")
        for d in evidence.deviations
    ]
    named = evidence.diagnosis is not None and evidence.diagnosis.named
    laxer = [pair for pair in evidence.pairs if not pair.equal and evidence.engine and pair.reference is None]
    if laxer and not named:
        where = f"{len(laxer)} conversations, first {laxer[0].case}: {laxer[0].reference_problem}"
        found.append(Finding(code="TMPL117", detail=where[:400]))
    refused = [pair for pair in evidence.pairs if pair.status == "refused by the host"]
    if refused:
        where = f"{len(refused)} conversations, first {refused[0].case}: {refused[0].candidate_problem}"
        found.append(Finding(code="TMPL116", detail=where[:400]))
    if evidence.engine and not evidence.on_disk and not any(row.billed is not None for row in evidence.billed):
        said = evidence.billed[0].problem if evidence.billed else "nothing could be asked"
        found.append(Finding(code="INTG501", detail=said))
    apart = [row for row in evidence.billed if row.billed is not None and row.billed != row.shown]
    if apart:
        detail = f"{apart[0].case}: {apart[0].shown} tokens shown, {apart[0].billed} billed"
        found.append(Finding(code="INTG504", detail=f"{len(apart)} of {len(evidence.billed)} requests, {detail}"))
    return found


def _probe_findings(evidence: TokensIn) -> list[Finding]:
    """What requests made for a template's own decisions showed, and what nothing showed."""
    found = []
    shown = _material(evidence.probes)
    if shown:
        first = shown[0].request
        how = f"{first['made']}, at {first['clock']} ({first['why']})"
        detail = f"{len(shown)} of {evidence.probed} requests made for it, first: {how}"
        found.append(Finding(code="TMPL118", detail=detail[:500]))
    if evidence.unseen:
        lines = "; ".join(f"{u.side} line {u.line}: {u.words}" for u in evidence.unseen[:4])
        cut = f"; {evidence.left_out} requests were not made for want of time" if evidence.left_out else ""
        found.append(Finding(code="TMPL119", detail=f"{len(evidence.unseen)} decisions{cut}: {lines}"[:500]))
    for source in evidence.sources:
        if not source.judged:
            found.append(Finding(code="TMPL123", detail=f"the template called {source.file!r}"))
        elif source.file == source.judged:
            found.append(
                Finding(code="TMPL122", detail=f"{source.file} alone: {source.readers}; AutoTokenizer does not")
            )
        else:
            detail = (
                f"{source.judged} is judged; {source.file} holds another one ({source.readers}): "
                f"{source.differing} of {source.conversations} conversations become other prompts by it"
            )
            found.append(Finding(code="TMPL121", detail=detail))
    return found


_RULES = {"vocabulary": "TOKN101", "added tokens": "TOKN105", "truncation": "TOKN113", "padding": "TOKN113"}


def _tokenizer_findings(evidence: TokensIn) -> list[Finding]:
    # converted files describe the same rules in other words; there the golden strings decide
    alike = evidence.reference.kind == evidence.candidate.kind
    shown = bool(evidence.golden or evidence.decoded)
    found = [
        Finding(code=_RULES.get(d.what, "TOKN104"), detail=f"{d.what}: {d.reference} -> {d.candidate}"[:400])
        for d in evidence.tokenizer
        if shown or d.what in _RULES or alike
    ]
    if evidence.golden:
        first = evidence.golden[0]
        detail = f"{len(evidence.golden)} texts, first {first.text!r}: {first.reference} -> {first.candidate}"
        found.append(Finding(code="TOKN102", detail=detail[:400]))
    if evidence.decoded:
        other = evidence.decoded[0]
        detail = f"{len(evidence.decoded)} lists of ids, first {other.ids}: {other.reference!r} -> {other.candidate!r}"
        found.append(Finding(code="TOKN112", detail=detail[:400]))
    if evidence.of_form:
        detail = f"for example {evidence.of_form!r}; as transformers, vLLM and SGLang load both folders it becomes the same ids"
        found.append(Finding(code="TOKN114", detail=detail[:400]))
    unproved = [d.what for d in evidence.tokenizer if d.needs_proof]
    if unproved and alike and not shown:
        found.append(Finding(code="TOKN111", detail=f"{', '.join(unproved)}: no text that was tried becomes other ids"))
    return found


def _runs_on(side: SideFacts) -> bool:
    """Whether what ends an assistant's turn does not end a reply."""
    return (
        not side.bare
        and len(side.turn_end_ids) == 1
        and bool(side.stop_ids)
        and side.turn_end_ids[0] not in side.stop_ids
    )


def _side_findings(evidence: TokensIn) -> list[Finding]:
    found = [
        Finding(code="TOKN108", detail=f"{side.name}: {side.unread}")
        for side in (evidence.reference, evidence.candidate)
        if side.unread
    ]
    side = evidence.candidate
    if evidence.reference.template and not side.template and side.kind not in _SHOW_NONE:
        found.append(Finding(code="TMPL103", detail=f"{side.name} brings none"))
    foreign = len(side.turn_end_ids) > 1 and _CONTROL.fullmatch(side.turn_end) is not None
    if foreign and len(evidence.reference.turn_end_ids) <= 1:
        detail = (
            f"{side.turn_end!r} becomes {len(side.turn_end_ids)} ids: template and tokenizer are of different models"
        )
        found.append(Finding(code="TMPL104", detail=detail))
    elif _runs_on(side) and not _runs_on(evidence.reference):
        detail = f"turns end with {side.turn_end!r} ({side.turn_end_ids[0]}), but only {side.stop_ids} end a reply"
        found.append(Finding(code="TOKN106", detail=detail))
    else:
        lost = sorted(set(evidence.reference.closing_ids) - set(side.stop_ids))
        if lost and not side.bare and side.kind not in _SHOW_NONE:
            detail = f"the template puts {lost} after a reply, where the reference stops; the candidate stops at {side.stop_ids}"
            found.append(Finding(code="TOKN106", detail=detail))
    if side.doubles_bos:
        found.append(Finding(code="TOKN107", detail="template and tokenizer both put a begin-of-text token"))
    return found

"""JUnit XML, for CI servers: a projection of the scorecard, not the evidence.

One suite per candidate, one case per axis and per gate. BEYOND and a failed gate are failures; INCONCLUSIVE and an undecided
gate are errors, and so is NOT_TESTABLE, because what could not be measured did not pass; NOT_RUN is skipped. A run that was
interrupted has an error of its own. Numbers are properties.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, tostring

from harness.redact import safe_line, safe_text
from harness.reports.scorecard import CandidateCard, Scorecard
from harness.verdicts.catalogue import entry
from harness.verdicts.gates.telling import gate_sentence
from harness.verdicts.model import Outcome

_KINDS = {Outcome.BEYOND: "failure", Outcome.INCONCLUSIVE: "error", Outcome.NOT_TESTABLE: "error", Outcome.WITHIN: "",
          Outcome.NOT_RUN: "skipped"}  # fmt: skip


def render_junit(scorecard: Scorecard) -> bytes:
    """The report as bytes."""
    root = Element("testsuites", name="fidelity")
    for card in scorecard.candidates:
        _suite(root, scorecard, card)
    body: bytes = tostring(root, encoding="utf-8")
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + body + b"\n"


def _suite(root: Element, scorecard: Scorecard, card: CandidateCard) -> None:
    evidence, verdict = card.evidence, card.verdict
    name = f"{safe_line(evidence.label)} as {safe_line(evidence.claim)}"
    suite = SubElement(root, "testsuite", name=name, timestamp=_timestamp(scorecard.created))
    properties = SubElement(suite, "properties")
    facts = [("reference", scorecard.reference.folder), ("suite", f"{scorecard.suite.name} v{scorecard.suite.version}"),
             ("verdict", str(verdict.outcome)), ("cause", str(verdict.cause or "")), ("run", scorecard.run)]  # fmt: skip
    for check in evidence.checks:
        facts += [
            (check.key, repr(check.value)),
            (f"{check.key}.low", repr(check.low)),
            (f"{check.key}.high", repr(check.high)),
        ]
    for key, value in facts:
        SubElement(properties, "property", name=key, value=safe_line(value, 300))
    cases = 0
    counts = {"failure": 0, "error": 0, "skipped": 0}
    for axis in verdict.axes:
        kind = _KINDS[axis.outcome]
        text = _findings(card) if kind == "failure" else ""
        _case(suite, name, axis.axis, kind, str(axis.cause or axis.outcome), axis.reason, text)
        counts[kind or "passed"] = counts.get(kind or "passed", 0) + 1
        cases += 1
    if scorecard.partial:
        _case(suite, name, "run complete", "error", "partial", f"only part of the run: {scorecard.partial}", "")
        counts["error"] += 1
        cases += 1
    for gate in evidence.policy.gates if evidence.policy else ():
        kind = {"failed": "failure", "undecided": "error"}.get(gate.status, "")
        _case(suite, name, f"gate {gate.gate.text}", kind, gate.status, gate_sentence(gate), "")
        counts[kind or "passed"] = counts.get(kind or "passed", 0) + 1
        cases += 1
    suite.set("tests", str(cases))
    for attribute, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(counts[kind]))


def _case(suite: Element, owner: str, name: str, kind: str, cause: str, message: str, text: str) -> None:
    case = SubElement(suite, "testcase", classname=f"fidelity.{owner}", name=safe_line(name), time="0")
    if kind == "skipped":
        SubElement(case, "skipped", message=safe_line(message, 600))
    elif kind:
        SubElement(case, kind, type=cause, message=safe_line(message, 600)).text = text


def _findings(card: CandidateCard) -> str:
    lines = []
    for finding in card.findings:
        about = entry(finding.code)
        lines += [
            f"{finding.code} {about.severity} {about.title}: {safe_text(finding.detail, 400)}",
            f"    fix: {about.fix}",
        ]
    return "\n".join(lines)


def _timestamp(created: str) -> str:
    """``20261127T020930Z`` as JUnit writes it."""
    date, _, time = created.rstrip("Z").partition("T")
    return f"{date[:4]}-{date[4:6]}-{date[6:8]}T{time[:2]}:{time[2:4]}:{time[4:6]}"

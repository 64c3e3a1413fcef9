"""Comparisons inside tests: run once or reuse, judge by gates and baselines, tell what failed.

A comparison is collected once per session, whatever tests ask of it and in whatever worker they run; every test judges the
stored run by its own policy, which stands in the test's source before anything is measured.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from harness.config import Places, alone, writable
from harness.errors import UsageError
from harness.gating.baselines import make_baseline, save_baseline
from harness.gating.policies import Judgement, resolve
from harness.identity import digest_json
from harness.observations.events import Stop
from harness.observations.journal import Journal, write_atomically
from harness.pipeline import DEFAULT_LADDER, Candidate, Request, compare
from harness.redact import safe_line, safe_text
from harness.reports.build import build_scorecard
from harness.reports.gate_table import policy_note
from harness.reports.pages.comparison import render_html
from harness.reports.scorecard import CandidateCard, Scorecard
from harness.reports.tokens import tokens_of
from harness.targets.spec import Runtime, parse_spec
from harness.verdicts.catalogue import entry
from harness.verdicts.gates.telling import gate_sentence
from harness.verdicts.model import Outcome

Update = Literal["no", "new", "all"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a test asks for; the words are those of ``fidelity compare``."""

    reference: str
    candidate: str
    claim: str = ""
    gates: tuple[str, ...] = ()
    baseline: str = ""
    suite: str = "core"
    profile: str = "quick"
    band: bool = True
    ladder: tuple[int, ...] = DEFAULT_LADDER
    device: str = "cpu"
    dtype: str = "auto"
    threads: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """How a wish was judged: the whole scorecard, and the page that shows it."""

    card: Scorecard
    report: Path
    baseline_written: Path | None = None

    @property
    def candidate(self) -> CandidateCard:
        """The one candidate."""
        return self.card.candidates[0]

    @property
    def outcome(self) -> Outcome:
        """WITHIN, BEYOND, INCONCLUSIVE or NOT_TESTABLE."""
        return self.card.outcome

    def value(self, metric: str) -> float:
        """A published number, such as ``kl_ref_cand`` or ``ear``; raises UsageError for one that does not exist."""
        check = self.candidate.evidence.check(metric)
        if check is None:
            raise UsageError(f"there is no metric {metric!r} in this run")
        return check.value

    @property
    def message(self) -> str:
        """The verdict and the findings with their fix lines, for an assertion; everything from files is made harmless."""
        verdict, evidence = self.candidate.verdict, self.candidate.evidence
        cause = f" ({verdict.cause})" if verdict.cause else ""
        lines = [
            f"{safe_line(evidence.label)} is {verdict.outcome}{cause} against {safe_line(self.card.reference.folder)}"
        ]
        if evidence.policy:
            lines += [f"  {gate.status:<9} {safe_line(gate_sentence(gate), 300)}" for gate in evidence.policy.gates]
            lines.append(f"  {policy_note(evidence.policy)}")
        else:
            lines.append(f"  {safe_text(verdict.sentence, 600)}")
        for finding in self.candidate.findings:
            about = entry(finding.code)
            if about.severity not in {"S0", "S1"}:
                lines.append(f"  {finding.code} {about.severity} {about.title}: {safe_line(finding.detail, 240)}")
                lines.append(f"      fix: {about.fix}")
        lines.append(f"  report: {self.report}")
        return "\n".join(lines)


@dataclass
class Comparer:
    """Answers the wishes of one session; ``session`` is a name that no other session has, shared by its processes."""

    root: Path
    results: Path
    session: str
    fail: tuple[str, ...] = ()  # gates for every test
    update: Update = "no"
    _runs: dict[str, str] = field(default_factory=dict)

    def answer(self, wish: Wish, beside: Path) -> Answer:
        """Collect (or reuse) and judge; ``beside`` is the folder that baselines are relative to.

        Raises UsageError for a baseline that is missing, and what ``fidelity compare`` raises.
        """
        baseline = beside / wish.baseline if wish.baseline else None
        missing = baseline is not None and not baseline.exists()
        if missing and self.update == "no":
            raise UsageError(
                "this test has no baseline yet",
                where=str(baseline),
                fix="pytest --fidelity-update-new-only writes it; review it and commit it",
            )
        writes = baseline is not None and (self.update == "all" or (self.update == "new" and missing))
        gates = (*wish.gates, *self.fail)
        free = tuple(gate for gate in gates if "baseline" not in gate)
        resolve(*((free,) if writes else (gates, baseline)))  # bad gates end here, before anything is measured
        journal = Journal.open(self.results, self._run(wish))
        try:
            if writes and baseline is not None:
                own = resolve(free)
                card = self._judged(journal, own, "")
                if own and card.outcome is Outcome.BEYOND:  # what fails its own bounds becomes nobody's baseline
                    return Answer(card, self._page(journal, card))
                save_baseline(make_baseline(journal), baseline)
            card = self._judged(journal, resolve(gates, baseline), str(baseline or ""))
            return Answer(card, self._page(journal, card), baseline if writes else None)
        finally:
            journal.close()

    @staticmethod
    def _judged(journal: Journal, judgement: Judgement | None, source: str) -> Scorecard:
        policy, stored = (judgement.policy, judgement.baseline) if judgement else (None, None)
        return build_scorecard(journal, policy, stored, source, frozen=True)

    @staticmethod
    def _page(journal: Journal, card: Scorecard) -> Path:
        """A page of its own for every policy: several tests judge one run."""
        policy = card.candidates[0].evidence.policy
        page = journal.folder / (f"report-{policy.policy.digest[:8]}.html" if policy else "report.html")
        if policy:
            write_atomically(page, render_html(card, tokens_of(journal)).encode())
        return page

    def _run(self, wish: Wish) -> str:
        """The stored run of a wish: made once, by whichever process comes first."""
        request = Request(
            reference=self._located(wish.reference), candidates=(Candidate(self._located(wish.candidate), wish.claim),),
            suite=self._located_suite(wish.suite), profile=wish.profile, band=wish.band, ladder=wish.ladder,
            rebuild=not (wish.gates or wish.baseline or self.fail),  # gates need no rebuilt claim
            runtime=Runtime(device=wish.device, dtype=wish.dtype, threads=wish.threads), command="pytest", fresh=True,
        )  # fmt: skip
        key = digest_json(
            [repr(request), _files(request.reference), _files(request.candidates[0].spec), _files(request.suite)]
        )
        if key in self._runs:
            return self._runs[key]
        writable(self.results, "results")
        note = self.results / f".pytest-{self.session}" / key[:16]
        with alone(note):
            if not note.exists():
                run = _finish(request, Places(self.results, Places.default().cache))
                write_atomically(note, json.dumps(run).encode())
            self._runs[key] = json.loads(note.read_bytes())
        return self._runs[key]

    def _located(self, spec: str) -> str:
        """A specification whose folder, if relative, is taken from the root of the tests."""
        base = parse_spec(spec).base
        there = self.root / base
        if base and not Path(base).is_absolute() and there.exists() and spec.endswith(base):
            return spec[: len(spec) - len(base)] + str(there)
        return spec

    def _located_suite(self, suite: str) -> str:
        return str(self.root / suite) if (self.root / suite / "suite.yaml").is_file() else suite


def wish_of(arguments: dict[str, object]) -> Wish:
    """A wish from a marker's or a call's keywords; raises UsageError for one that does not exist."""
    import difflib  # noqa: PLC0415

    known = set(Wish.__dataclass_fields__)
    unknown = [key for key in arguments if key not in known]
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(sorted(known))}"
        raise UsageError(f"fidelity has no argument {unknown[0]!r}", fix=hint)
    if not {"reference", "candidate"} <= set(arguments):
        raise UsageError("fidelity needs a reference and a candidate")
    values = dict(arguments)
    for name in ("reference", "candidate", "baseline", "suite"):
        if name in values:
            values[name] = str(values[name])
    if isinstance(values.get("gates"), str):
        values["gates"] = (values["gates"],)
    for name, kind in (("gates", str), ("ladder", int)):
        if name in values:
            many = values[name]
            if not isinstance(many, list | tuple) or not all(type(one) is kind for one in many):
                raise UsageError(f"{name} takes a list, such as {['4bit'] if kind is str else [5, 4, 3]}")
            values[name] = tuple(many)
    for name, wanted in (
        ("claim", str),
        ("profile", str),
        ("device", str),
        ("dtype", str),
        ("band", bool),
        ("threads", int),
    ):
        if name in values and type(values[name]) is not wanted:
            raise UsageError(f"{name} takes a {wanted.__name__}, not {values[name]!r}")
    return Wish(**values)  # type: ignore[arg-type]


def _files(spec: str) -> list[JsonValue]:
    """Names, sizes and times of a target's files: a model that was made again within the session is another one."""
    base = Path(parse_spec(spec).base)
    found = [base] if base.is_file() else sorted(base.rglob("*")) if base.is_dir() else []
    return [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in found]


def _finish(request: Request, places: Places) -> str:
    steps = compare(request, places, Stop())
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return str(end.value.run)

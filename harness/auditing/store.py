"""The folder of an audit: plan before the first request, evidence round by round, and the card. No pickle.

``plan.json``, ``profile.json``, ``prompts.json``, ``asked.sqlite`` (attempts and replies), ``evidence.json`` with a file
``evidence-NNNN.npz`` per round and control, ``report.html``, and last ``audit.json``. A stored audit is judged again from its
evidence, bit for bit, without model and without network.
"""

from __future__ import annotations

import json
import secrets
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from harness.comparisons.audit import AuditFacts, weigh_replies
from harness.comparisons.controls import ControlFacts, control_facts, host_facts
from harness.comparisons.logprobs import LogprobFacts, logprob_facts
from harness.comparisons.parameters import ParameterFacts
from harness.comparisons.recut import RecutFacts
from harness.config import writable
from harness.errors import StoredRunError
from harness.observations.folder import HeldFolder
from harness.observations.journal import storage, write_atomically
from harness.observations.rescore import Evidence
from harness.observations.stored_runs import Kind, find_kind
from harness.reports.audit_card import AuditCard, AuditPlan
from harness.reports.pages.audit import render_audit
from harness.reports.prompt_card import PromptCard
from harness.suites.model import Frozen
from harness.targets.endpoint.probe import Profile
from harness.targets.token_evidence import EVIDENCE, EVIDENCE_VERSION, TokenEvidence

_MOST = 4 << 30  # bytes of one file of stored evidence that are read
_CARD, _PLAN, _HEAD, _PROMPTS, _PAGE = "audit.json", "plan.json", "evidence.json", "prompts.json", "report.html"
_PROFILE = "profile.json"
#: The source of what is stored of texts that a host was shown; behind it stands the name of a control.
TEXTS = "fixed texts "


Stored = TypeVar("Stored", bound=BaseModel)


class Part(Frozen):
    """Evidence of the replies of one source in one round: of the endpoint, or of a control."""

    source: str  # empty for the endpoint, else the control's name
    rows: tuple[int, ...]  # scored tokens per request
    lost: tuple[int, ...]  # requests of this part without a readable reply, from 0


class Terms(Frozen):
    """What holds for all replies of a host."""

    charges: RecutFacts | None = None  # where it tells no ids
    neutral: bool = True  # whether it took it to add no cut-off and no penalty


class StoredEvidence(Frozen):
    """What the arrays of evidence belong to, in the order in which they were measured."""

    version: int = EVIDENCE_VERSION
    parts: tuple[Part, ...] = ()
    terms: dict[str, Terms] = Field(default_factory=dict)  # by source


class _Probed(Frozen):
    profile: Profile
    facts: ParameterFacts | None


@dataclass
class Gathered:
    """Evidence of one source so far: rows per configuration and request, and which requests were lost."""

    evidence: Evidence = field(default_factory=dict)
    lost: list[int] = field(default_factory=list)
    requests: int = 0

    def add(self, rows: Evidence, lost: Sequence[int]) -> None:
        """Put the next round's behind."""
        for name, parts in rows.items():
            self.evidence.setdefault(name, []).extend(parts)
        self.lost.extend(self.requests + number for number in lost)
        self.requests = len(next(iter(self.evidence.values()), []))


class AuditFolder(HeldFolder):
    """One audit on disk."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._head = StoredEvidence()

    @classmethod
    def create(cls, results: Path, plan: AuditPlan) -> AuditFolder:
        """A new folder with the frozen plan in it."""
        writable(results, "results")
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        folder = results / f"{stamp}-audit-{secrets.token_hex(3)}"
        folder.mkdir()
        with storage(folder):
            write_atomically(folder / _PLAN, plan.model_dump_json(indent=1).encode())
        created = cls(folder)
        created.take()
        return created

    @classmethod
    def unfinished(cls, results: Path, plan: AuditPlan) -> AuditFolder | None:
        """The newest audit of this day without a result and without a process at work, whose plan is this one, nonce aside."""
        for folder in sorted(results.glob("*-audit-*"), reverse=True):
            if (folder / _PLAN).exists() and not (folder / _CARD).exists():
                try:
                    stored = AuditPlan.model_validate_json((folder / _PLAN).read_bytes())
                except (OSError, ValidationError):
                    continue
                found = cls(folder)
                if stored == plan.model_copy(update={"nonce": stored.nonce}) and found.take():
                    return found
        return None

    @classmethod
    def open(cls, results: Path, name: str) -> AuditFolder | None:
        """A stored audit by path, name or unique part of it, or the newest run if that is an audit; None if it is none."""
        folder = find_kind(results, name, Kind.AUDIT)
        return cls(folder) if folder else None

    @property
    def card(self) -> AuditCard:
        """The result as it was stored; raises StoredRunError for an audit that is not finished."""
        try:
            return AuditCard.model_validate_json((self.folder / _CARD).read_bytes())
        except (OSError, ValidationError) as error:
            raise StoredRunError(
                "this audit has no result that can be read",
                where=str(self.folder),
                fix="read it with the version of fidelity-harness that wrote it"
                if self.finished
                else "give the same compare command again: it goes on where it ended",
            ) from error

    @property
    def finished(self) -> bool:
        """Whether it has a result."""
        return (self.folder / _CARD).exists()

    @property
    def measured(self) -> bool:
        """Whether any evidence is stored."""
        return (self.folder / _HEAD).exists()

    @property
    def plan(self) -> AuditPlan:
        """The plan as it was frozen; raises StoredRunError for one that cannot be read."""
        return self._stored(_PLAN, AuditPlan)

    def keep_prompts(self, card: PromptCard) -> None:
        """Store how the endpoint's prompts compare."""
        with storage(self.folder):
            write_atomically(self.folder / _PROMPTS, card.model_dump_json().encode())

    def prompts(self) -> PromptCard | None:
        """How the endpoint's prompts compare, if that was found out before."""
        return self._stored(_PROMPTS, PromptCard) if (self.folder / _PROMPTS).exists() else None

    def keep_profile(self, profile: Profile, facts: ParameterFacts | None) -> None:
        """Store what the endpoint can do, and what trials of it came to."""
        stored = _Probed(profile=profile, facts=facts)
        with storage(self.folder):
            write_atomically(self.folder / _PROFILE, stored.model_dump_json().encode())

    def profile(self) -> tuple[Profile, ParameterFacts | None] | None:
        """What the endpoint can do, if that was found out before."""
        if not (self.folder / _PROFILE).exists():
            return None
        stored = self._stored(_PROFILE, _Probed)
        return stored.profile, stored.facts

    def keep_evidence(self, source: str, rows: Evidence, lost: Sequence[int], names: Sequence[str]) -> None:
        """Store the evidence of one round of a source, configurations in the order ``names``."""
        part = Part(source=source, rows=tuple(len(one) for one in rows[names[0]]), lost=tuple(lost))
        arrays = {f"c{place}": np.concatenate(rows[name]) for place, name in enumerate(names)}
        with storage(self.folder):
            partial = self.folder / ".evidence.npz"
            np.savez_compressed(partial, **arrays)  # type: ignore[arg-type]
            partial.replace(self._arrays_of(len(self._head.parts)))
        self._store(self._head.model_copy(update={"parts": (*self._head.parts, part)}))

    def keep_terms(self, source: str, charges: RecutFacts | None, *, neutral: bool) -> None:
        """Store what holds for all rounds of a host: charges for missing ids, and whether it samples as it is told."""
        terms = self._head.terms | {source: Terms(charges=charges, neutral=neutral)}
        self._store(self._head.model_copy(update={"terms": terms}))

    def keep_card(self, card: AuditCard, request: bytes) -> None:
        """Store the result and its page; the audit is finished. ``request`` is the body of one question."""
        with storage(self.folder):
            write_atomically(self.folder / _PAGE, render_audit(card, request).encode())
            write_atomically(self.folder / _CARD, (card.model_dump_json(indent=1) + "\n").encode())

    def texts(self, control: str = "") -> LogprobFacts | None:
        """What a host tells of the texts that it was shown, from the stored evidence; None where nothing was stored."""
        plan, head = self.plan, self._head
        if not head.parts and self.finished and self.measured:
            head = StoredEvidence.model_validate_json((self.folder / _HEAD).read_bytes())
        gathered = self._read(plan, head).get(TEXTS + control)
        if gathered is None:
            return None
        weights = {name: family for name, family in plan.families.items() if family != "template"}
        facts = logprob_facts(gathered.evidence, plan.honest, weights, plan.alpha, drawn=False)
        if facts is None:
            return None
        answered = gathered.requests / (gathered.requests + len(gathered.lost))
        neutral = head.terms.get(TEXTS + control, Terms()).neutral
        return facts.model_copy(update={"covered": facts.covered * answered, "neutral": neutral})

    def weigh_again(self) -> tuple[AuditFacts, tuple[ControlFacts, ...]]:
        """Facts and controls, computed again from the stored plan and evidence; raises StoredRunError for damage."""
        try:
            plan = self.plan
            self._head = StoredEvidence.model_validate_json((self.folder / _HEAD).read_bytes())
            if self._head.version != EVIDENCE_VERSION:
                raise ValueError("written by another version")
            gathered = self._read(plan, self._head)
        except (OSError, ValidationError, ValueError, KeyError, zipfile.BadZipFile, json.JSONDecodeError) as error:
            raise StoredRunError(
                f"the evidence of this audit cannot be read: {error}",
                where=str(self.folder),
                fix="judge it with the version of fidelity-harness that wrote it, or run the audit again",
            ) from error
        own = self._weighed("", gathered[""], plan)
        controls = tuple(
            control_facts(control, gathered[control.name].evidence, plan.honest, plan.families, plan.near, plan.alpha)
            if control.member
            else host_facts(control, self._weighed(control.name, gathered[control.name], plan), "", own)
            for control in plan.controls
            if control.name in gathered
        )
        return own, controls

    def _weighed(self, source: str, own: Gathered, plan: AuditPlan) -> AuditFacts:
        terms = self._head.terms.get(source, Terms())
        return weigh_replies(
            own.evidence, plan.honest, plan.families, plan.near, own.lost, plan.alpha, plan.seed, terms.charges,
            neutral=terms.neutral, sampler=plan.sampler,
        )  # fmt: skip

    def _stored(self, name: str, kind: type[Stored]) -> Stored:
        try:
            return kind.model_validate_json((self.folder / name).read_bytes())
        except (OSError, ValidationError) as error:
            raise StoredRunError(
                f"{name} of this audit cannot be read",
                where=str(self.folder),
                fix="read it with the version of fidelity-harness that wrote it, or run the audit again",
            ) from error

    def _store(self, head: StoredEvidence) -> None:
        self._head = head
        with storage(self.folder):
            write_atomically(self.folder / _HEAD, head.model_dump_json().encode())

    def _arrays_of(self, number: int) -> Path:
        return self.folder / f"evidence-{number:04d}.npz"

    def _read(self, plan: AuditPlan, head: StoredEvidence) -> dict[str, Gathered]:
        found: dict[str, Gathered] = {}
        names = [*plan.honest, *plan.families]
        for number, part in enumerate(head.parts):
            path = self._arrays_of(number)
            with zipfile.ZipFile(path) as stored:
                if sum(entry.file_size for entry in stored.infolist()) > _MOST:
                    raise ValueError("too large")
            with np.load(path, allow_pickle=False) as stored:
                rows: list[TokenEvidence] = [stored[f"c{place}"] for place in range(len(names))]
            if any(one.dtype != EVIDENCE or len(one) != sum(part.rows) for one in rows):
                raise ValueError("written by another version")
            ends = np.cumsum(part.rows)[:-1]
            split = {name: np.split(one, ends) for name, one in zip(names, rows, strict=True)}
            found.setdefault(part.source, Gathered()).add(split, part.lost)
        return found

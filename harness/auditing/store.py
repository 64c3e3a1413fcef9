"""The folder of an audit: plan before the first request, replies as they came, evidence, and the card. No pickle.

A stored audit is judged again from its evidence, bit for bit, without model and without network.
"""

from __future__ import annotations

import json
import secrets
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from harness.auditing.scorable import Scorable
from harness.comparisons.audit import AuditFacts, weigh_replies
from harness.comparisons.recut import RecutFacts
from harness.config import writable
from harness.errors import StoredRunError
from harness.observations.journal import storage, write_atomically
from harness.observations.rescore import Evidence
from harness.reports.audit_card import AuditCard, AuditPlan
from harness.suites.model import Frozen
from harness.targets.bank import BankMember
from harness.targets.endpoint.replies import Reply
from harness.targets.token_evidence import EVIDENCE, EVIDENCE_VERSION

_MOST = 4 << 30  # bytes of stored evidence that are read


class StoredEvidence(Frozen):
    """What the arrays of evidence belong to: configurations in order, families of the bank, rows per request."""

    version: int
    names: tuple[str, ...]
    families: tuple[str, ...]  # empty for honest configurations
    near: tuple[str, ...]  # members at full strength only
    rows: tuple[int, ...]
    lost: tuple[int, ...]
    charges: RecutFacts | None = None  # where the host tells no ids
    neutral: bool  # whether the host took it to add no cut-off and no penalty


class AuditFolder:
    """One audit on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def create(cls, results: Path, plan: AuditPlan) -> AuditFolder:
        """A new folder with the frozen plan in it."""
        writable(results, "results")
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        folder = results / f"{stamp}-audit-{secrets.token_hex(3)}"
        folder.mkdir()
        with storage(folder):
            write_atomically(folder / "plan.json", plan.model_dump_json(indent=1).encode())
        return cls(folder)

    def keep_reply(self, reply: Reply) -> None:
        """Store a reply, one JSON object per line, in plan order; it is on disk before the next question goes out."""
        with storage(self.folder), (self.folder / "replies.jsonl").open("a", encoding="utf-8") as file:
            file.write(reply.model_dump_json() + "\n")

    def keep_evidence(
        self,
        members: Sequence[BankMember],
        evidence: Evidence,
        scored: Sequence[Scorable],
        charges: RecutFacts | None,
        *,
        neutral: bool,
    ) -> None:
        """Store the evidence of every configuration, and what it is charged."""
        head = StoredEvidence(
            version=EVIDENCE_VERSION,
            names=tuple(member.name for member in members),
            families=tuple(member.family for member in members),
            near=tuple(member.name for member in members if member.near),
            rows=tuple(len(part) for part in evidence[members[0].name]),
            lost=tuple(number for number, one in enumerate(scored) if one.lost),
            charges=charges,
            neutral=neutral,
        )
        arrays = {f"c{place}": np.concatenate(evidence[member.name]) for place, member in enumerate(members)}
        with storage(self.folder):
            write_atomically(self.folder / "evidence.json", head.model_dump_json().encode())
            partial = self.folder / ".evidence.npz"
            np.savez_compressed(partial, **arrays)  # type: ignore[arg-type]
            partial.replace(self.folder / "evidence.npz")

    def keep_card(self, card: AuditCard) -> None:
        """Store the result."""
        with storage(self.folder):
            write_atomically(self.folder / "audit.json", (card.model_dump_json(indent=1) + "\n").encode())

    def weigh_again(self) -> AuditFacts:
        """The facts, computed again from the stored plan and evidence; raises StoredRunError for damage."""
        try:
            plan = AuditPlan.model_validate_json((self.folder / "plan.json").read_bytes())
            head = StoredEvidence.model_validate_json((self.folder / "evidence.json").read_bytes())
            arrays = self._arrays(head)
        except (OSError, ValidationError, ValueError, KeyError, zipfile.BadZipFile, json.JSONDecodeError) as error:
            raise StoredRunError(
                f"the evidence of this audit cannot be read: {error}",
                where=str(self.folder),
                fix="judge it with the version of fidelity-harness that wrote it, or run the audit again",
            ) from error
        families = {name: family for name, family in zip(head.names, head.families, strict=True) if family}
        honest = [name for name in head.names if name not in families]
        return weigh_replies(
            arrays, honest, families, head.near, head.lost, plan.alpha, plan.seed, head.charges,
            neutral=head.neutral, sampler=plan.sampler,
        )  # fmt: skip

    def _arrays(self, head: StoredEvidence) -> Evidence:
        path = self.folder / "evidence.npz"
        with zipfile.ZipFile(path) as stored:
            if sum(entry.file_size for entry in stored.infolist()) > _MOST:
                raise ValueError("too large")
        ends = np.cumsum(head.rows)[:-1]
        with np.load(path, allow_pickle=False) as stored:
            rows = [stored[f"c{place}"] for place in range(len(head.names))]
        if head.version != EVIDENCE_VERSION or any(
            part.dtype != EVIDENCE or len(part) != sum(head.rows) for part in rows
        ):
            raise ValueError("written by another version")
        return {name: np.split(part, ends) for name, part in zip(head.names, rows, strict=True)}

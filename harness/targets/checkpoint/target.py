"""A local checkpoint, as seen from our side of the wall: it lives in an isolated process and is asked over a pipe."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from harness.errors import FidelityError, MissingExtra, WorkerDied, error_classes
from harness.isolation.fork_server import start
from harness.isolation.wire import Arrays, Body, receive, send
from harness.redact import safe_text
from harness.suites.model import Message
from harness.suites.requests import Answered, Asked, Continuation, answer_kind
from harness.targets.base import Capabilities, Encoded, ModelIdentity, Target
from harness.targets.batches import Batch
from harness.targets.checkpoint.files import DigestCache, read_identity
from harness.targets.listed import Listed
from harness.targets.rows import ROW, Rows
from harness.targets.sampler import Sampler
from harness.targets.spec import TargetSpec
from harness.targets.token_evidence import EVIDENCE, TokenEvidence
from harness.targets.weight_evidence import WeightEvidence

_WORKER = "harness.targets.checkpoint.worker"


class WorkerProcess:
    """One isolated process. It serves every target built from the same checkpoint."""

    def __init__(self) -> None:
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process = start(_WORKER, self._stderr)

    @property
    def pid(self) -> int:
        """The operating system's id of the process."""
        return self._process.pid

    def ask(self, request: str, body: Body | None = None, arrays: Arrays | None = None) -> tuple[Body, Arrays]:
        """Send one request and wait for its answer; errors of the other side are raised here as what they were."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            send(self._process.stdin, {"request": request, **(body or {})}, arrays)  # type: ignore[arg-type]
            answer, out = receive(self._process.stdout)  # type: ignore[arg-type]
        except (BrokenPipeError, WorkerDied) as error:
            raise self._death(request) from error
        if "error" in answer:
            kind = error_classes().get(str(answer["error"]), FidelityError)
            raise kind(str(answer["problem"]), where=str(answer["where"]), fix=str(answer["fix"]))
        return answer, out

    def _death(self, request: str) -> WorkerDied:
        code = self._process.wait(timeout=30)
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        tail = self._last_words()
        starved = code == -signal.SIGKILL  # as systems end what wants more memory than there is
        if "No module named 'torch'" in tail or "No module named 'transformers'" in tail:
            raise MissingExtra(
                "comparing checkpoints needs torch and transformers", fix="pip install 'fidelity-harness[local]'"
            )
        return WorkerDied(
            f"the isolated process of the checkpoint ended during '{request}' ({how})",
            where=tail.splitlines()[-1] if tail else "",
            fix=("give the machine more memory, and " if starved else "")
            + "give the same command again: what was finished is kept",
        )

    def _last_words(self) -> str:
        self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(self._stderr.tell() - 4000, 0))
        return safe_text(self._stderr.read().decode("utf-8", "replace"), 4000).strip()

    def close(self) -> None:
        """End the process politely, then not."""
        with contextlib.suppress(OSError, ValueError):
            assert self._process.stdin is not None
            send(self._process.stdin, {"request": "quit"})  # type: ignore[arg-type]
            self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._stderr.close()


class Workers:
    """The isolated processes of a run, one per checkpoint folder: targets that share weights share a process.

    ``room`` is how many bytes of models stay in memory beside the one in use; with 0 there is one model at a time.
    """

    def __init__(self, room: int = 0) -> None:
        self.room = room
        self._by_base: dict[str, WorkerProcess] = {}

    def for_base(self, base: str) -> WorkerProcess:
        """The process of a checkpoint; others are ended first, because two models may not fit into memory."""
        if base not in self._by_base:
            self.close()
            self._by_base[base] = WorkerProcess()
        return self._by_base[base]

    def drop(self, base: str) -> None:
        """End the process of a checkpoint, if there is one: it may have died, or hold half of a model."""
        process = self._by_base.pop(base, None)
        if process:
            process.close()

    def close(self) -> None:
        """End every process."""
        for process in self._by_base.values():
            process.close()
        self._by_base.clear()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class CheckpointTarget:
    """A checkpoint as a target; loads nothing until it is asked to score, sample or tokenise."""

    def __init__(self, spec: TargetSpec, workers: Workers, cache: Path) -> None:
        self.spec = spec
        self._workers = workers
        self._identity = read_identity(spec, DigestCache(cache))
        self._vocabulary = 0
        self._chat: bool | None = None

    def identity(self) -> ModelIdentity:
        """What the files say."""
        return self._identity

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return Path(self.spec.base)

    def capabilities(self) -> Capabilities:
        """Load the model and say what it can do."""
        process = self._workers.for_base(self.spec.base)
        hello, _ = process.ask("hello")
        info, _ = process.ask("load", {**self._spec_body(), "room": self._workers.room})
        return Capabilities.model_validate(
            {
                "level": "L0",
                "vocabulary": info["vocabulary"],
                "separable_head": info["separable"],
                "dtype": info["dtype"],
                "attention": info["attention"],
                "matrices_rounded": info["changed"],
                "versions": hello["versions"],
                "isolation": hello["isolation"],
                "unused": info["unused"],
            }
        )

    def vocabulary(self) -> int:
        """Number of ids that the tokenizer knows."""
        if not self._vocabulary:
            self._encode([])
        return self._vocabulary

    def has_template(self) -> bool:
        """Whether the release ships a chat template; base models do not."""
        if self._chat is None:
            self._encode([])
        return bool(self._chat)

    def tokenize(self, texts: list[str], *, spans: bool = False) -> list[Encoded]:
        """Plain texts as ids, with the characters that each token stands for if ``spans``."""
        return self._encode([{"text": text, "spans": spans} for text in texts])

    def render(self, conversations: list[tuple[Message, ...]], *, open_reply: bool) -> list[Encoded]:
        """Conversations as rendered text and ids."""
        return self._encode(
            [
                {"messages": [message.model_dump(mode="json") for message in turns], "open": open_reply}
                for turns in conversations
            ]
        )

    def generate(
        self, prompts: list[tuple[int, ...]], limits: list[int], seed: int, at_once: int = 10
    ) -> list[tuple[int, ...]]:
        """Sampled replies at temperature 1 as ids; how many run ``at_once`` is part of what decides them."""
        body: Body = {"prompts": [list(p) for p in prompts], "limits": list(limits), "seed": seed, "at_once": at_once}
        answer, _ = self._loaded().ask("sample", body)
        return [tuple(int(str(i)) for i in reply) for reply in _listed(answer["replies"])]

    def score(self, batch: Batch, reference: Path, keys: list[str], vocabulary: int) -> Rows:
        """Rows of a batch against the reference cached in ``reference``, whose sequences are named by ``keys``."""
        body: Body = {"reference": str(reference), "keys": list(keys), "vocabulary": vocabulary}
        _, out = self._loaded().ask("score", body, _batch_arrays(batch))
        return out["rows"].view(ROW)

    def hidden(self, batch: Batch) -> NDArray[Any]:
        """Final hidden states of the scored positions, ``[tokens, width]``: float32, float16, or bf16 bits as uint16."""
        _, out = self._loaded().ask("hidden", {}, _batch_arrays(batch))
        return out["hidden"]

    def sketch(self, batch: Batch, vocabulary: int, seed: int) -> NDArray[np.uint8]:
        """Sketches of the scored positions, ``[tokens, bytes]``; see ``sketch.py`` for what the bytes hold."""
        body: Body = {"vocabulary": vocabulary, "seed": seed}
        _, out = self._loaded().ask("sketch", body, _batch_arrays(batch))
        return out["sketch"].reshape(batch.tokens, -1)

    def evidence(
        self,
        batch: Batch,
        reference: Path,
        keys: list[str],
        silent: NDArray[np.bool_],
        sampler: Sampler | None = None,
        *,
        base: bool,
        brief: bool = False,
        listed: Listed | None = None,
    ) -> TokenEvidence:
        """Token evidence of a batch against the reference cached in ``reference``; ``base`` for the reference itself.

        ``brief`` leaves settings and divergences out; ``listed`` is what the host told of the scored positions.
        """
        asked = (sampler or Sampler()).model_dump(mode="json")
        body: Body = {
            "reference": str(reference), "keys": list(keys), "base": base, "sampler": asked, "brief": brief
        }  # fmt: skip
        arrays = _batch_arrays(batch) | {"silent": silent.astype(np.uint8)}
        if listed:
            arrays |= {"listed_ids": listed.ids, "listed_logs": listed.logs}
        _, out = self._loaded().ask("evidence", body, arrays)
        return out["rows"].view(EVIDENCE)

    def spelled(self, replies: list[tuple[tuple[int, ...], str]]) -> list[tuple[int, bool, str]]:
        """For each pair of ids and text, how many leading ids spell a beginning, whether that is all of it, and the rest."""
        body: Body = {"pairs": [{"ids": list(ids), "text": text} for ids, text in replies]}
        answer, _ = self._workers.for_base(self.spec.base).ask("spelled", {**self._spec_body(), **body})
        found = zip(*(_listed(answer[name]) for name in ("lengths", "whole", "rests")), strict=True)
        return [(int(length), bool(whole), str(rest)) for length, whole, rest in found]

    def recut(self, said: Sequence[str | tuple[int, ...]]) -> list[tuple[int, ...]]:
        """The ids that the tokenizer itself makes of texts, or of what given ids spell (control tokens left out)."""
        body: Body = {"entries": [one if isinstance(one, str) else list(one) for one in said]}
        answer, _ = self._workers.for_base(self.spec.base).ask("recut", {**self._spec_body(), **body})
        return [tuple(int(i) for i in ids) for ids in _listed(answer["ids"])]

    def said(self, replies: Sequence[tuple[int, ...]]) -> list[str]:
        """What ids spell, control tokens included; nothing for ids that the tokenizer does not know."""
        body: Body = {"entries": [list(ids) for ids in replies]}
        answer, _ = self._workers.for_base(self.spec.base).ask("said", {**self._spec_body(), **body})
        return [str(text) for text in _listed(answer["texts"])]

    def ids_of(self, names: Sequence[str]) -> list[int]:
        """The ids of tokens given as the bytes that they spell (as Latin-1); -1 where none or several spell them."""
        _, out = self._workers.for_base(self.spec.base).ask("ids_of", {**self._spec_body(), "names": list(names)})
        return [int(i) for i in out["ids"]]

    def silent(self) -> NDArray[np.bool_]:
        """For every id of the tokenizer, whether hosts leave it out of texts: control tokens, pieces of characters."""
        _, out = self._workers.for_base(self.spec.base).ask("silent", self._spec_body())
        return out["silent"].astype(bool)

    def losses(self, batch: Batch) -> NDArray[np.float32]:
        """Minus log-probability of the true next token at every scored position, NaN where there is none."""
        _, out = self._loaded().ask("losses", {}, _batch_arrays(batch))
        return out["losses"]

    def answer(self, asked: Sequence[Asked], rows: int, *, shared: bool, seed: int = 0) -> list[Answered]:
        """Answers to requests of tasks; ``rows`` of them run together, ``shared`` computes common openings once."""
        entries: list[JsonValue] = [
            {"kind": type(one).__name__, "request": one.model_dump(mode="json")} for one in asked
        ]
        body: Body = {"asked": entries, "rows": rows, "seed": seed, "shared": shared}
        answer, _ = self._loaded().ask("answer", body)
        kinds = [answer_kind(one) for one in asked]
        return [kind.model_validate(one) for kind, one in zip(kinds, _listed(answer["answers"]), strict=True)]

    def pairs(self, asked: Sequence[Continuation]) -> list[tuple[list[int], list[int]]]:
        """Continuations as ids of this checkpoint's tokenizer: what stands before, and what goes on."""
        body: Body = {"asked": [one.model_dump(mode="json") for one in asked]}
        answer, _ = self._workers.for_base(self.spec.base).ask("pairs", {**self._spec_body(), **body})
        return [([int(i) for i in opening], [int(i) for i in tail]) for opening, tail in _listed(answer["pairs"])]

    def save_head(self, path: Path) -> None:
        """Store the output head as a file of plain tensors."""
        self._loaded().ask("save_head", {"path": str(path)})

    def weights(self, reference: TargetSpec, claims: Sequence[TargetSpec] = ()) -> WeightEvidence:
        """This checkpoint's weights beside the reference's, and beside what rebuilt claims make of those."""
        process = self._workers.for_base(self.spec.base)
        body: Body = {
            **self._spec_body(),
            "reference": asdict(reference),
            "claims": {claim.text: asdict(claim) for claim in claims},
            "room": self._workers.room,
        }
        answer, _ = process.ask("weights", body)
        return WeightEvidence.model_validate(answer["evidence"])

    def build_problem(self) -> str:
        """Why this copy cannot be built, or an empty string; cheap where shapes decide."""
        answer, _ = self._workers.for_base(self.spec.base).ask("build_problem", self._spec_body())
        return str(answer["problem"])

    def pieces(self, ids: list[int]) -> list[str]:
        """The text of single ids."""
        arrays: Arrays = {"ids": np.array(ids, dtype=np.int64)}
        answer, _ = self._workers.for_base(self.spec.base).ask("pieces", self._spec_body(), arrays)
        return [str(piece) for piece in _listed(answer["pieces"])]

    def _loaded(self) -> WorkerProcess:
        process = self._workers.for_base(self.spec.base)
        process.ask("load", {**self._spec_body(), "room": self._workers.room})
        return process

    def _encode(self, entries: list[dict[str, JsonValue]]) -> list[Encoded]:
        process = self._workers.for_base(self.spec.base)
        answer, _ = process.ask("encode", {**self._spec_body(), "entries": list(entries)})
        self._vocabulary, self._chat = int(str(answer["vocabulary"])), bool(answer["chat"])
        return [Encoded.model_validate(entry) for entry in _listed(answer["answers"])]

    def _spec_body(self) -> Body:
        return {"spec": asdict(self.spec)}


if TYPE_CHECKING:
    _kept_promise: type[Target] = CheckpointTarget  # the protocol and its only implementation must not drift apart


def _batch_arrays(batch: Batch) -> Arrays:
    return {"ids": batch.ids, "lengths": batch.lengths, "first": batch.first, "end": batch.end}


def _listed(value: JsonValue) -> list[Any]:
    assert isinstance(value, list)
    return value

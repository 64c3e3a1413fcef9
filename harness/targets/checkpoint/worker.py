"""The isolated process of one checkpoint: reads requests and answers them.

Started by ``target.py``, as a fork of a process that has imported the libraries, or as
``python -I -m harness.targets.checkpoint.worker``. It isolates itself before it reads what it is asked to open.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from harness.errors import FidelityError, IncompatibleCandidate
from harness.isolation.sandbox import isolate
from harness.isolation.wire import Arrays, Body, receive, send
from harness.suites.requests import Calling, Continuation, Rolling, Writing
from harness.targets.batches import Batch
from harness.targets.listed import Listed
from harness.targets.sampler import Sampler
from harness.targets.spec import Runtime, TargetSpec

if TYPE_CHECKING:
    from harness.targets.checkpoint.kept import KeptModels
    from harness.targets.checkpoint.loading import Loaded
    from harness.targets.checkpoint.scoring import Reference

Answer = tuple[Body, Arrays]
_KINDS = {kind.__name__: kind for kind in (Continuation, Rolling, Writing, Calling)}


class Worker:
    """One method per request; each takes the request's body and arrays and returns the answer's."""

    def __init__(self, achieved: dict[str, str]) -> None:
        self.achieved = achieved
        self.loaded: Loaded | None = None
        self.kept: KeptModels | None = None
        self.reference: Reference | None = None
        self.tokenizers: dict[str, Any] = {}

    def hello(self, body: Body, arrays: Arrays) -> Answer:
        """Versions of what computes, and the isolation that was achieved."""
        import torch  # noqa: PLC0415
        import transformers  # noqa: PLC0415

        from harness.targets.checkpoint import narrow_products  # noqa: PLC0415

        versions = {
            "python": sys.version.split()[0],
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        }
        if narrow_products.are_slow():
            versions["narrow products"] = "in fp32"  # moves logits, as a version does
        return {"versions": dict(versions), "isolation": dict(self.achieved)}, {}

    def load(self, body: Body, arrays: Arrays) -> Answer:
        """Load the specified model, unless it is in memory; others stay there as far as there is room for them."""
        from harness.targets.checkpoint.kept import KeptModels  # noqa: PLC0415

        spec = read_spec(body)
        if self.loaded is None or self.loaded.spec != spec:
            self.kept = self.kept or KeptModels()
            self.loaded = None
            self.loaded = self.kept.model(spec, int(str(body["room"])))
        model, head = self.loaded.model, self.loaded.head
        return {
            "vocabulary": self.loaded.vocabulary,
            "separable": head is not None,
            "dtype": str(model.dtype).removeprefix("torch."),
            "changed": self.loaded.changed,
            "attention": str(getattr(model.config, "_attn_implementation", "")),
            "unused": list(self.loaded.unused),
        }, {}

    def encode(self, body: Body, arrays: Arrays) -> Answer:
        """Tokenise texts and render conversations with the checkpoint's own tokenizer and template."""
        from harness.suites.model import Message  # noqa: PLC0415
        from harness.targets.checkpoint.tokenization import encode_chat, encode_text  # noqa: PLC0415

        spec = read_spec(body)
        tokenizer = self.tokenizer(spec)
        answers: list[Any] = []
        for entry in _listed(body["entries"]):
            if entry.get("text") is not None:
                answers.append(encode_text(tokenizer, entry["text"], spans=bool(entry["spans"])))
            else:
                messages = tuple(Message.model_validate(message) for message in entry["messages"])
                answers.append(encode_chat(tokenizer, messages, open_reply=bool(entry["open"]), where=spec.base))
        return {"answers": answers, "vocabulary": len(tokenizer), "chat": bool(tokenizer.chat_template)}, {}

    def pieces(self, body: Body, arrays: Arrays) -> Answer:
        """The text of single ids, for showing."""
        tokenizer = self.tokenizer(read_spec(body))
        return {"pieces": [str(tokenizer.decode([int(i)])) for i in arrays["ids"]]}, {}

    def sample(self, body: Body, arrays: Arrays) -> Answer:
        """Sample replies from the loaded model."""
        from harness.targets.checkpoint.generation import sample_replies  # noqa: PLC0415

        prompts = [[int(i) for i in prompt] for prompt in _listed(body["prompts"])]
        limits = [int(n) for n in _listed(body["limits"])]
        tokenizer = self.tokenizer(self.model.spec)
        pad = tokenizer.pad_token_id or 0
        seed, at_once = int(str(body["seed"])), int(str(body["at_once"]))
        replies = sample_replies(self.model, prompts, limits, seed, int(pad), at_once, len(tokenizer))
        return {"replies": [list(reply) for reply in replies]}, {}

    def hidden(self, body: Body, arrays: Arrays) -> Answer:
        """Final hidden states of a batch in the model's own number format; bf16 travels as its bits."""
        import torch  # noqa: PLC0415

        from harness.targets.checkpoint.scoring import hidden_states  # noqa: PLC0415

        states = hidden_states(self.model, _batch(arrays)).cpu()
        if str(states.dtype) == "torch.bfloat16":
            return {}, {"hidden": states.contiguous().view(torch.uint16).numpy()}
        return {}, {"hidden": states.numpy()}

    def save_head(self, body: Body, arrays: Arrays) -> Answer:
        """Store the loaded model's head as a file of plain tensors."""
        if self.model.head is None:
            raise FidelityError("the output head of this model cannot be replayed apart from the model")
        self.model.head.save(Path(str(body["path"])))
        return {}, {}

    def sketch(self, body: Body, arrays: Arrays) -> Answer:
        """Sketches of the scored positions of a batch."""
        from harness.targets.checkpoint.scoring import sketch_batch  # noqa: PLC0415

        sketch = sketch_batch(self.model, _batch(arrays), int(str(body["vocabulary"])), int(str(body["seed"])))
        return {}, {"sketch": np.frombuffer(sketch.tobytes(), dtype=np.uint8)}

    def score(self, body: Body, arrays: Arrays) -> Answer:
        """Rows of a batch against the cached reference."""
        from harness.targets.checkpoint.scoring import open_reference, score_batch  # noqa: PLC0415

        folder = Path(str(body["reference"]))
        if self.reference is None or self.reference.folder != folder:
            self.reference = open_reference(folder, str(self.model.model.device))
        keys = [str(key) for key in _listed(body["keys"])]
        rows = score_batch(self.model, _batch(arrays), self.reference, keys, int(str(body["vocabulary"])))
        return {}, {"rows": np.frombuffer(rows.tobytes(), dtype=np.uint8)}

    def evidence(self, body: Body, arrays: Arrays) -> Answer:
        """Token evidence of a batch, against the cached reference unless this is the reference itself."""
        from harness.targets.checkpoint.scoring import ReplayedReference, evidence_batch, open_reference  # noqa: PLC0415

        folder = Path(str(body["reference"]))
        if self.reference is None or self.reference.folder != folder:
            self.reference = open_reference(folder, str(self.model.model.device))
        if not isinstance(self.reference, ReplayedReference):
            raise IncompatibleCandidate(
                "hosted text can only be judged by a reference whose output head can be replayed apart from the model",
                fix="this architecture is not supported for endpoints yet; compare files instead",
            )
        keys = [str(key) for key in _listed(body["keys"])]
        silent = arrays["silent"].astype(bool)
        sampler = Sampler.model_validate(body["sampler"])
        base, brief = bool(body["base"]), bool(body["brief"])
        listed = Listed(arrays["listed_ids"], arrays["listed_logs"]) if "listed_ids" in arrays else None
        rows = evidence_batch(
            self.model, _batch(arrays), self.reference, keys, silent, sampler, base=base, brief=brief, listed=listed
        )
        return {}, {"rows": np.frombuffer(rows.tobytes(), dtype=np.uint8)}

    def spelled(self, body: Body, arrays: Arrays) -> Answer:
        """For each pair of ids and text, how many of the ids spell a beginning of the text, if that is all, and the rest."""
        from harness.targets.checkpoint.tokenization import spelled  # noqa: PLC0415

        tokenizer = self.tokenizer(read_spec(body))
        pairs = [(entry["ids"], str(entry["text"])) for entry in _listed(body["pairs"])]
        found = [spelled(tokenizer, [int(i) for i in ids], text) for ids, text in pairs]
        lengths, whole, rests = zip(*found, strict=True) if found else ((), (), ())
        return {"lengths": list(lengths), "whole": list(whole), "rests": list(rests)}, {}

    def ids_of(self, body: Body, arrays: Arrays) -> Answer:
        """The ids of tokens that are given as the bytes which they spell."""
        from harness.targets.checkpoint.tokenization import ids_of_bytes  # noqa: PLC0415

        found = ids_of_bytes(self.tokenizer(read_spec(body)), [str(name) for name in _listed(body["names"])])
        return {}, {"ids": np.array(found, dtype=np.int64)}

    def recut(self, body: Body, arrays: Arrays) -> Answer:
        """The ids that the tokenizer itself makes of texts, or of what given ids spell."""
        from harness.targets.checkpoint.tokenization import recut  # noqa: PLC0415

        tokenizer = self.tokenizer(read_spec(body))
        texts = [
            entry
            if isinstance(entry, str)
            else tokenizer.decode(
                [int(i) for i in _listed(entry)], skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
            for entry in _listed(body["entries"])
        ]
        return {"ids": [list(recut(tokenizer, str(text))) for text in texts]}, {}

    def said(self, body: Body, arrays: Arrays) -> Answer:
        """What given ids spell, control tokens included."""
        tokenizer = self.tokenizer(read_spec(body))
        known = len(tokenizer)
        entries = [[int(i) for i in _listed(entry)] for entry in _listed(body["entries"])]
        sound = [ids if all(0 <= i < known for i in ids) else [] for ids in entries]
        return {"texts": [str(tokenizer.decode(ids, clean_up_tokenization_spaces=False)) for ids in sound]}, {}

    def silent(self, body: Body, arrays: Arrays) -> Answer:
        """Which ids a host leaves out of texts: control tokens, and pieces of characters."""
        from harness.targets.checkpoint.tokenization import silent_ids  # noqa: PLC0415

        return {}, {"silent": silent_ids(self.tokenizer(read_spec(body))).astype(np.uint8)}

    def answer(self, body: Body, arrays: Arrays) -> Answer:
        """Answer requests of tasks with the loaded model: log-probabilities of texts, or replies."""
        from harness.targets.checkpoint.answering import answer  # noqa: PLC0415

        tokenizer = self.tokenizer(self.model.spec)
        asked = [_KINDS[str(entry["kind"])].model_validate(entry["request"]) for entry in _listed(body["asked"])]
        rows, seed, shared = int(str(body["rows"])), int(str(body["seed"])), bool(body["shared"])
        found = answer(self.model, tokenizer, asked, rows, seed, shared=shared)
        return {"answers": [one.model_dump(mode="json") for one in found]}, {}

    def pairs(self, body: Body, arrays: Arrays) -> Answer:
        """Continuations of tasks as ids: of what stands before, and of what goes on."""
        from harness.targets.checkpoint.openings import encode_continuation  # noqa: PLC0415

        spec = read_spec(body)
        asked = [Continuation.model_validate(entry) for entry in _listed(body["asked"])]
        pairs = [encode_continuation(self.tokenizer(spec), one, spec.base) for one in asked]
        return {"pairs": [[list(opening), list(tail)] for opening, tail in pairs]}, {}

    def losses(self, body: Body, arrays: Arrays) -> Answer:
        """Losses of the true tokens of a batch, without a reference."""
        from harness.targets.checkpoint.scoring import token_losses  # noqa: PLC0415

        return {}, {"losses": token_losses(self.model, _batch(arrays))}

    def weights(self, body: Body, arrays: Arrays) -> Answer:
        """Hold a candidate's weights, freshly loaded, against the reference's; the model is kept to be run."""
        from harness.targets.checkpoint.kept import KeptModels  # noqa: PLC0415
        from harness.targets.checkpoint.loading import load_model  # noqa: PLC0415
        from harness.targets.checkpoint.weights import reference_files, weight_evidence  # noqa: PLC0415

        self.loaded = None
        self.kept = self.kept or KeptModels()
        reference, raw = spec_from(body["reference"]), body["claims"]
        assert isinstance(raw, dict)
        claims = {name: spec_from(spec) for name, spec in raw.items()}
        model = self.kept.unrun(read_spec(body), int(str(body["room"])))
        ours: Any = reference_files(Path(reference.base), model) if reference.kind == "plain" else None
        if ours is None:
            ours, _ = load_model(reference)
        return {"evidence": weight_evidence(model, ours, claims).model_dump(mode="json")}, {}

    def build_problem(self, body: Body, arrays: Arrays) -> Answer:
        """Why a copy of the checkpoint cannot be built."""
        from harness.targets.checkpoint.buildable import build_problem  # noqa: PLC0415

        return {"problem": build_problem(read_spec(body))}, {}

    def convert(self, body: Body, arrays: Arrays) -> Answer:
        """Dequantise a GGUF file to an fp32 checkpoint folder."""
        from harness.targets.checkpoint.conversion import gguf_to_checkpoint  # noqa: PLC0415

        gguf_to_checkpoint(Path(str(body["gguf"])), Path(str(body["folder"])))
        return {}, {}

    def convert_tokenizer(self, body: Body, arrays: Arrays) -> Answer:
        """Write a tokenizer of another form as ``tokenizer.json``, with the facts that go with it."""
        from harness.targets.checkpoint.conversion import write_tokenizer  # noqa: PLC0415

        write_tokenizer(TargetSpec(str(body["kind"]), "", str(body["base"]), Runtime()), Path(str(body["folder"])))
        return {}, {}

    @property
    def model(self) -> Loaded:
        """The loaded model."""
        if self.loaded is None:
            raise FidelityError("no model is loaded")
        return self.loaded

    def tokenizer(self, spec: TargetSpec) -> Any:
        """The tokenizer of a checkpoint, loaded once."""
        from harness.targets.checkpoint.tokenization import load_tokenizer  # noqa: PLC0415

        if spec.base not in self.tokenizers:
            self.tokenizers[spec.base] = load_tokenizer(spec)
        return self.tokenizers[spec.base]


def read_spec(body: Body) -> TargetSpec:
    """The specification of the target that a request is for."""
    return spec_from(body["spec"])


def spec_from(raw: Any) -> TargetSpec:
    """A specification as it travels."""
    assert isinstance(raw, dict)
    runtime = raw["runtime"]
    assert isinstance(runtime, dict)
    return TargetSpec(
        str(raw["kind"]),
        str(raw["detail"]),
        str(raw["base"]),
        Runtime(
            device=str(runtime["device"]),
            dtype=str(runtime["dtype"]),
            attention=str(runtime["attention"]),
            batch=int(str(runtime["batch"])),
            threads=int(str(runtime["threads"])),
        ),
    )


def _listed(value: Any) -> list[Any]:
    assert isinstance(value, list)
    return value


def _batch(arrays: Arrays) -> Batch:
    return Batch(arrays["ids"].copy(), arrays["lengths"], arrays["first"], arrays["end"])


_REQUESTS = (
    "hello", "load", "encode", "pieces", "silent", "spelled", "said", "ids_of", "recut", "sample", "hidden", "save_head",
    "sketch", "score", "evidence", "answer", "pairs", "losses", "weights", "build_problem", "convert", "convert_tokenizer",
)  # fmt: skip


def serve(reader: BinaryIO, writer: BinaryIO, worker: Worker) -> None:
    """Answer requests until ``quit``; a known error goes back as data, an unknown one ends the process."""
    while True:
        body, arrays = receive(reader)
        request = str(body["request"])
        if request == "quit":
            return
        if request not in _REQUESTS:
            raise ValueError(f"unknown request {request}")
        try:
            answer, out = getattr(worker, request)(body, arrays)
        except FidelityError as error:
            failure: Body = {
                "error": type(error).__name__,
                "problem": error.problem,
                "where": error.where,
                "fix": error.fix,
            }
            send(writer, failure)
        else:
            send(writer, answer, out)


#: What the first tokenizer and the first model of a process would import: over half a second in each, were it not here.
_LIBRARY = (
    "modeling_utils", "modeling_layers", "masking_utils", "generation.utils", "models.auto.modeling_auto",
    "models.auto.tokenization_auto", "tokenization_utils_tokenizers", "processing_utils",
)  # fmt: skip


def preload() -> bool:
    """Import what every checkpoint needs; says whether it can be forked, which a torch that holds a GPU cannot."""
    try:
        torch = importlib.util.find_spec("torch")
        facts = runpy.run_path(str(Path(str(torch and torch.origin)).with_name("version.py")))  # without importing it
        if facts.get("cuda") or facts.get("hip") or facts.get("xpu"):
            return False
        from harness.targets.checkpoint import answering, kept, openings, scoring, tokenization, weights  # noqa: F401, PLC0415

        for part in _LIBRARY:
            importlib.import_module(f"transformers.{part}")
        if importlib.util.find_spec("mistral_common"):  # where it is installed, every tokenizer's loading imports it
            importlib.import_module("transformers.integrations.mistral.tokenizer")
        importlib.import_module("transformers.conversion_mapping").get_checkpoint_conversion_mapping("mixtral")
    except (ImportError, OSError):
        return False
    return True


def main() -> None:
    """Take the pipe for ourselves, so that no library's print can break a frame, then isolate and serve."""
    writer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    achieved = isolate()
    serve(sys.stdin.buffer, writer, Worker(achieved))


if __name__ == "__main__":
    main()

"""A running host that the user vouches for, asked the candidate's questions: what accuses it accuses nobody.

It shows what hosts made on this machine cannot: that prompts, protocol and another engine's arithmetic are not what was found.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.auditing.asking import Questions, ask_round, round_ends
from harness.auditing.controlling import FEW
from harness.auditing.preparing import Prepared
from harness.auditing.store import AuditFolder
from harness.auditing.texts import ask_texts
from harness.auditing.weighing import Weighing
from harness.comparisons.controls import Control, ControlFacts, accusing_axes, host_facts
from harness.errors import BudgetSpent, EndpointRefused, MissingExtra, UsageError
from harness.observations.asked import Asked
from harness.observations.events import Event, StageStarted
from harness.prompting import compare_endpoint
from harness.redact import safe_line
from harness.targets.demo_model import demo_gguf, demo_reference
from harness.targets.endpoint.address import is_address
from harness.targets.endpoint.budget import Budget
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.local import local_host
from harness.targets.endpoint.ways import Question
from harness.verdicts.model import Outcome

#: The axis on which an honest host is accused that makes other prompts than the reference.
PROMPTS = "prompts"


def ask_honest_host(
    weighing: Weighing, prepared: Prepared, folder: AuditFolder, asked: Sequence[Question], client: Client,
    reference: str, cache: Path, requests: int,
) -> Generator[Event, None, ControlFacts]:  # fmt: skip
    """Its prompts, then as many questions as the candidate answered, or the first few where the candidate is not accused.

    It has seeds, a journal and a budget of its own, as large as the candidate's. A host that cannot be measured is told as that.
    """
    plan = prepared.plan
    number, control = next((k, one) for k, one in enumerate(plan.controls) if not one.member)
    yield StageStarted("control", f"{control.name}, asked the same")
    own = Weighing(weighing.bench, plan, folder, control.name)
    seeds = [plan.seed_of(plan.requests * (number + 1) + place) for place in range(plan.requests)]
    questions = Questions(asked, plan.tokens, plan.sampler, seeds, plan.stream)
    count = requests if accusing_axes(weighing.facts) else min(requests, FEW)
    try:
        with Asked(folder.folder / "honest.sqlite") as log:
            client.log, client.budget = log, Budget(plan.caps)
            client.budget.resume(log.spent())
            if plan.protocol == "chat" and compare_endpoint(reference, client, cache).verdict.outcome is Outcome.BEYOND:
                return _other_prompts(control)
            candidate = folder.texts()
            if candidate and candidate.over_at:
                with suppress(BudgetSpent):
                    yield from ask_texts(client, log, weighing.bench, prepared, folder, control.name)
            if not count:  # the candidate answered nothing: its prompts and its scores are all that there is
                return _stands(control)
            yield from _weighed(own, questions, log, client, count)
    except (EndpointRefused, BudgetSpent) as error:  # anything else ends the audit, which goes on by the same command
        return host_facts(control, None, safe_line(error.problem, 200), weighing.facts)
    return host_facts(control, own.facts, own.untestable, weighing.facts)


def _weighed(
    own: Weighing, questions: Questions, log: Asked, client: Client, count: int
) -> Generator[Event, None, None]:
    known, done = log.replies(), 0
    for end in round_ends(count):
        whole = yield from ask_round(client, questions, range(done, end), known, log.keep_reply)
        if not whole:
            raise BudgetSpent("its budget, as large as the candidate's, was used up")
        yield from own.add([known[number] for number in range(done, end)])
        done = end


def _other_prompts(control: Control) -> ControlFacts:
    return _stands(control).model_copy(update={"requests": 1, "found_at": 1, "axis": PROMPTS})


def _stands(control: Control) -> ControlFacts:
    return ControlFacts(
        name=control.name, role=control.role, member="", requests=0, tokens=0, log_e=0.0, found_at=0, axis=""
    )


@contextmanager
def honest_address(where: str, reference: str, cache: Path) -> Iterator[tuple[str, str]]:
    """The address of the honest host and what it is called: one that runs already, or a GGUF file served here by llama.cpp.

    ``auto`` takes the reference's own file of 16 bits or more. Raises UsageError where there is none, MissingExtra without
    xllamacpp.
    """
    if is_address(where):
        yield where, ""
        return
    file = _own_file(reference, cache) if where == "auto" else _given(where)
    _refuse_narrow(file)
    with local_host(file) as address:  # its port is another one when the audit is resumed
        yield address, f"{file.name} of {file.stat().st_size:,} bytes, in llama.cpp here"


def _given(where: str) -> Path:
    if not where.endswith(".gguf") or not Path(where).is_file():
        raise UsageError(f"{where!r} is no honest host", fix="give an address, a GGUF file of 16 bits or more, or auto")
    return Path(where)


def _refuse_narrow(file: Path) -> None:
    """Raise UsageError for a file whose matrices are quantized: it would excuse what it is meant to find."""
    try:
        from gguf import GGUFReader  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtra(
            "a GGUF file is read by the gguf package", fix="pip install 'fidelity-harness[gguf]'"
        ) from error
    kinds = {tensor.tensor_type.name for tensor in GGUFReader(file).tensors} - {"F32", "F16", "BF16"}
    if kinds:
        raise UsageError(
            f"an honest host holds the weights as they were published; this file has {', '.join(sorted(kinds))}",
            where=file.name,
            fix="give a GGUF file of 16 bits or more",
        )


def _own_file(reference: str, cache: Path) -> Path:
    """The one file of the reference's folder that holds its weights in GGUF form without loss."""
    if Path(reference).resolve() == demo_reference(cache).resolve() and demo_gguf(cache).is_file():
        from harness.targets.requantized import requantized  # noqa: PLC0415 - gguf is an extra

        return requantized(demo_gguf(cache), "F16", cache / "hosts")
    wide = ("f16", "bf16", "f32")
    found = [
        path
        for path in sorted(Path(reference).glob("*.gguf"))
        if any(path.stem.lower().endswith((f".{kind}", f"-{kind}")) for kind in wide)
    ]
    if len(found) != 1:
        raise UsageError(
            f"there are {len(found)} GGUF files of 16 bits or more beside the reference",
            where=reference,
            fix="convert the reference with llama.cpp's convert_hf_to_gguf.py and give the file to --honest-control",
        )
    return found[0]

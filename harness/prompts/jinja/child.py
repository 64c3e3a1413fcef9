"""The process in which templates and tokenizers run: ``python -I -m harness.prompts.jinja.child``, by ``process.py``.

One request is a tokenizer with texts, or a template under a dialect with any number of conversations. One answer per
text or conversation follows, as soon as it is there. The clock of each runs in the child and counts the processor's time,
so that a busy machine changes no outcome (SIGPROF, between two steps of the interpreter); a step that never ends is ended by
the parent, who stops hearing from us.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness.errors import WorkerDied
from harness.isolation.sandbox import isolate
from harness.isolation.wire import Body, receive, send

_MEMORY = 2 << 30
#: WebAssembly reserves addresses that it never uses; the module has a cap of its own (512 MB), and fuel.
_MEMORY_OF_LLAMACPP = 16 << 30
_MAX_TEXT = 4 << 20
_ONE_PROBE = 1.0  # seconds that one request of an exploration may take


class _TooSlow(Exception):
    pass


def main() -> None:
    """Take the pipe for ourselves, drop what is not needed, answer until the pipe ends."""
    writer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    isolate()
    _limit_memory(_MEMORY)
    signal.signal(signal.SIGPROF, _ring)
    while True:
        try:
            body, _ = receive(sys.stdin.buffer)
        except WorkerDied:  # the parent has gone
            return
        kinds = {"tokenizer": encode, "coverage": cover, "explore": explore, "decode": decode, "encoder": run_encoder}
        for outcome in next((kinds[key] for key in kinds if key in body), answer)(body):
            send(writer, outcome)


def answer(body: Body) -> Iterator[Body]:
    """Outcomes of one template, in the order of the conversations."""
    from harness.prompts.conversation import Conversation, Dialect  # noqa: PLC0415
    from harness.prompts.jinja.environment import Template  # noqa: PLC0415
    from harness.prompts.jinja.second import LlamaCppTemplate, MinijinjaTemplate  # noqa: PLC0415

    conversations: Any = body["conversations"]
    variables: Any = body["variables"]
    dialect = Dialect.model_validate(body["dialect"])
    seconds = float(str(body["seconds"]))
    made: list[Any] = []
    runtimes: dict[str, Any] = {"jinja2": Template, "minijinja": MinijinjaTemplate, "llamacpp": LlamaCppTemplate}
    kind = runtimes[dialect.runtime]
    if dialect.runtime == "llamacpp":
        _limit_memory(_MEMORY_OF_LLAMACPP)
    unusable = _bounded(lambda: made.append(kind(str(body["template"]), dialect, variables)), seconds)
    for raw in conversations:
        if unusable is not None:
            yield unusable
            continue
        conversation = Conversation.model_validate(raw)
        found: list[str] = []
        problem = _bounded(lambda c=conversation, out=found: out.append(made[0].render(c, _MAX_TEXT)), seconds)  # type: ignore[misc]
        yield problem or {"outcome": "text", "text": found[0], "problem": ""}
    if dialect.runtime == "llamacpp":
        made.clear()
        gc.collect()
        _limit_memory(_MEMORY)


def _limit_memory(size: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size, hard))


def cover(body: Body) -> Iterator[Body]:
    """Branches of one template that none of the conversations enters: one answer."""
    from harness.prompts.conversation import Conversation, Dialect  # noqa: PLC0415
    from harness.prompts.jinja.coverage import CoverageProbe  # noqa: PLC0415
    from harness.prompts.jinja.environment import Template  # noqa: PLC0415

    conversations: Any = body["conversations"]
    variables: Any = body["variables"]
    seconds = float(str(body["seconds"]))
    made: list[CoverageProbe] = []
    source = str(body["template"])
    _bounded(lambda: made.append(CoverageProbe(Template(source, Dialect(), variables))), seconds)
    if not made:
        yield {"branches": 0, "missed": []}
        return
    for raw in conversations:
        conversation = Conversation.model_validate(raw)
        _bounded(lambda c=conversation: made[0].render(c, _MAX_TEXT), seconds)  # type: ignore[misc]
    yield {"branches": len(made[0].branches), "missed": [list(branch) for branch in made[0].missed()]}


def explore(body: Body) -> Iterator[Body]:
    """Requests that show what one template decides and another does not: one answer."""
    from harness.prompts.conversation import Conversation, Exploration  # noqa: PLC0415
    from harness.prompts.jinja.probing import explore as search  # noqa: PLC0415

    conversations: Any = body["conversations"]
    variables: Any = body["variables"]
    found: list[Exploration] = []
    try:
        found.append(
            search(
                str(body["explore"]),
                str(body["other"]),
                variables,
                [Conversation.model_validate(raw) for raw in conversations],
                seconds=float(str(body["seconds"])),
                bounded=lambda work: _bounded(work, _ONE_PROBE),
            )
        )
    except Exception as error:  # a template can make its own parsing fail in any way
        found.append(Exploration(problem=f"{type(error).__name__}: {error}"[:300]))
    yield found[0].model_dump(mode="json")


def run_encoder(body: Body) -> Iterator[Body]:
    """Text and ids by a program that was installed for a model without a template."""
    from harness.prompts.conversation import Conversation  # noqa: PLC0415
    from harness.prompts.encoders import Encoder, load_encoder  # noqa: PLC0415

    conversations: Any = body["conversations"]
    name, path = str(body["encoder"]), str(body["file"])
    if (name, path) not in _encoders:
        loaded: list[Encoder] = []
        unusable = _bounded(lambda: loaded.append(load_encoder(name, path)), float(str(body["loading"])))
        if unusable is not None:
            yield from (unusable for _ in conversations)
            return
        _encoders[name, path] = loaded[0]
    for raw in conversations:
        found: list[tuple[str, list[int]]] = []
        asked = Conversation.model_validate(raw)
        problem = _bounded(lambda c=asked, out=found: out.append(_encoders[name, path](c)), float(str(body["seconds"])))  # type: ignore[misc]
        if problem and problem["outcome"] == "failed" and str(problem["problem"]).startswith("ValueError"):
            problem = problem | {"outcome": "refused"}
        yield problem or {"outcome": "text", "text": found[0][0][:_MAX_TEXT], "problem": "", "ids": found[0][1]}  # type: ignore[dict-item]


_encoders: dict[tuple[str, str], Any] = {}


def encode(body: Body) -> Iterator[Body]:
    """Ids of texts, each a list of pieces; a piece marked as plain has no control tokens in it, whatever it says."""
    texts: Any = body["texts"]
    seconds = float(str(body["seconds"]))
    key = (str(body["tokenizer"]), bool(body["normalized"]))
    special = bool(body.get("special"))
    unusable = _bounded(lambda: _load_tokenizer(key), seconds)
    for pieces in texts:
        ids: list[int] = []
        problem = unusable or _bounded(lambda p=pieces, out=ids: _encode_pieces(key, p, out, special=special), seconds)  # type: ignore[misc]
        yield problem or {"ids": list(ids)}


_tokenizers: dict[tuple[str, bool], Any] = {}
_UNICODE_FORMS = {"NFC", "NFD", "NFKC", "NFKD"}


def _load_tokenizer(key: tuple[str, bool]) -> Any:
    """A tokenizer, read once: reading one takes longer than thousands of texts."""
    from tokenizers import Tokenizer  # noqa: PLC0415

    path, normalized = key
    if key not in _tokenizers:
        if normalized:
            _tokenizers[key] = Tokenizer.from_file(path)
        else:
            value = json.loads(Path(path).read_text(encoding="utf-8"))
            value["normalizer"] = _without_forms(value.get("normalizer"))
            _tokenizers[key] = Tokenizer.from_str(json.dumps(value))
        # transformers, and so vLLM and SGLang, switch both off at every call that does not ask for them
        _tokenizers[key].no_truncation()
        _tokenizers[key].no_padding()
    return _tokenizers[key]


def _without_forms(normalizer: Any) -> Any:
    """A normalizer without Unicode forms; what it does to blanks and marks stays."""
    if not isinstance(normalizer, dict) or normalizer.get("type") in _UNICODE_FORMS:
        return None
    steps = normalizer.get("normalizers")
    if not isinstance(steps, list):
        return normalizer
    kept = [step for step in (_without_forms(one) for one in steps) if step is not None]
    return {**normalizer, "normalizers": kept} if kept else None


def decode(body: Body) -> Iterator[Body]:
    """Texts of lists of ids, without and with special tokens: one answer for each list."""
    lists: Any = body["ids"]
    seconds = float(str(body["seconds"]))
    key = (str(body["decode"]), True)
    unusable = _bounded(lambda: _load_tokenizer(key), seconds)

    def work(ids: list[int], out: list[str]) -> None:
        out.extend(_load_tokenizer(key).decode(ids, skip_special_tokens=skip) for skip in (False, True))

    for ids in lists:
        texts: list[str] = []
        problem = unusable or _bounded(lambda i=ids, out=texts: work(i, out), seconds)  # type: ignore[misc]
        yield problem or {"texts": list(texts)}


def _encode_pieces(key: tuple[str, bool], pieces: Any, out: list[int], *, special: bool) -> None:
    tokenizer = _load_tokenizer(key)
    for text, plain in pieces:
        if tokenizer.encode_special_tokens != bool(plain):
            tokenizer.encode_special_tokens = bool(plain)
        out.extend(tokenizer.encode(text, add_special_tokens=special).ids)


def _bounded(work: Callable[[], None], seconds: float) -> Body | None:
    """Do a piece of work; None if it ended well, else its outcome."""
    import jinja2  # noqa: PLC0415

    from harness.prompts.jinja.environment import TemplateRefusal  # noqa: PLC0415

    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        work()
    except TemplateRefusal as error:
        return _outcome("refused", error)
    except (_TooSlow, MemoryError, OverflowError) as error:
        return _outcome("unbounded", error)
    except jinja2.exceptions.SecurityError as error:
        return _outcome("failed", f"SecurityError: {error}")
    except Exception as error:  # a template can raise anything; it stays a failure, with its type and words
        return _outcome("failed", f"{type(error).__name__}: {error}")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return None


def _outcome(kind: str, error: object) -> Body:
    name = f"{type(error).__name__.lstrip('_')}: " if kind == "unbounded" else ""
    return {"outcome": kind, "text": "", "problem": (name + str(error))[:300]}


def _ring(*_: object) -> None:
    raise _TooSlow("the template did not end in time")


if __name__ == "__main__":
    main()

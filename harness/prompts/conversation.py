"""What a client sends to a chat endpoint, and the rules by which an engine turns it into text."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from harness.suites.model import Frozen

#: Templates that print the date would make the same prompt differ from one day to the next.
FROZEN_CLOCK = "2026-01-15T12:00:00"
#: The time at which llama.cpp's engine, as ggufdoctor brings it, stands still.
LLAMACPP_CLOCK = "2026-01-01T12:00:00"
#: How the problem of a prompt begins that a host would not make.
BY_THE_HOST = "by the host: "


class Conversation(Frozen):
    """Messages, tools and options exactly as JSON, because null, absent and empty are three different things.

    ``generation`` asks for the header of the next assistant turn; ``continue_final`` leaves the last message open.
    ``options`` are template variables such as ``enable_thinking``.
    """

    messages: tuple[dict[str, JsonValue], ...]
    tools: tuple[dict[str, JsonValue], ...] | None = None
    generation: bool = True
    continue_final: bool = False
    options: dict[str, JsonValue] = Field(default_factory=dict)


class Json(Frozen):
    """How an engine writes JSON inside a prompt; the defaults are those of transformers."""

    separators: tuple[str, str] = (", ", ": ")
    sort_keys: bool = False
    ensure_ascii: bool = False
    escape_html: bool = False
    indent: int | None = None  # forced; None leaves it to the template
    whole_floats_as_integers: bool = False


class Dialect(Frozen):
    """The rules of one engine's template runtime; the defaults are those of transformers 5."""

    runtime: Literal["jinja2", "minijinja", "llamacpp"] = "jinja2"
    trim_blocks: bool = True
    json_style: Json = Json()
    drop_nulls: bool = True  # keys whose value is null are removed from messages
    alias_reasoning: bool = True  # reasoning, thinking and reasoning_content stand for each other
    clock: str = FROZEN_CLOCK


class Rendered(Frozen):
    """One conversation as text, or why there is none.

    ``refused``: the template raised an error of its own, which is its right. ``failed``: it crashed.
    ``unbounded``: it hit a limit of time, memory or output. ``ids`` are there where a program made both.
    """

    outcome: Literal["text", "refused", "failed", "unbounded"]
    text: str = ""
    problem: str = ""
    ids: tuple[int, ...] | None = None


class Coverage(Frozen):
    """Branches of a template, and those that no conversation entered, by line and kind. 0 branches: not measured."""

    branches: int = 0
    missed: tuple[tuple[int, str], ...] = ()


class Probe(Frozen):
    """A request that was made to enter a branch: how (``made``) and for which line (``why``), and when it is sent."""

    conversation: Conversation
    clock: str
    made: str
    why: str


class Unseen(Frozen):
    """A decision of a template that was not seen in all its ways: the line, what kind it is, and the line's words."""

    line: int
    kind: str
    words: str


class Exploration(Frozen):
    """What one template decides and another does not: requests that show it, and what nothing showed.

    ``decisions`` counts them, ``rendered`` what was tried, ``left_out`` requests that were not made for want of time or room.
    ``problem`` says why nothing was explored.
    """

    decisions: int = 0
    probes: tuple[Probe, ...] = ()
    unseen: tuple[Unseen, ...] = ()
    rendered: int = 0
    left_out: int = 0
    problem: str = ""


REFERENCE_DIALECT = Dialect()

"""What a suite asks of a target: openings, continuations to be scored, replies to be written, tools to be called."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue, model_validator

from harness.suites.model import Frozen, Message


class Opening(Frozen):
    """What stands before an answer: a text, or a conversation that every target renders with its own template.

    ``begun`` says that the last message is the beginning of the answer, which the target goes on writing.
    """

    text: str | None = None
    messages: tuple[Message, ...] = ()
    begun: bool = False

    @model_validator(mode="after")
    def _one_kind(self) -> Opening:
        if (self.text is None) == (not self.messages):
            raise ValueError("give either 'text' or 'messages'")
        return self

    @property
    def size(self) -> int:
        """Characters, by which requests are ordered: the same order for every target, whatever its tokenizer."""
        return len(self.text or "") + sum(len(message.content) for message in self.messages)


class Continuation(Frozen):
    """How probable is this text after the opening?"""

    key: str  # TASK|ITEM|INDEX: INDEX counts the requests of an item
    opening: Opening
    text: str


class Rolling(Frozen):
    """How probable is this whole text, each token after as much of it as the model can see?"""

    key: str
    text: str


class Writing(Frozen):
    """Write on from the opening until one of ``until`` or the limit; temperature 0 takes the most probable token."""

    key: str
    opening: Opening
    until: tuple[str, ...]
    limit: int = Field(ge=1)  # tokens
    temperature: float = Field(default=0.0, ge=0.0, le=2.0)


class Calling(Frozen):
    """Answer a conversation that offers tools. ``choice`` is ``auto``, ``none``, ``required`` or the name of the tool to call."""

    key: str
    messages: tuple[dict[str, JsonValue], ...]  # as JSON: null, absent and empty are three different things
    tools: tuple[dict[str, JsonValue], ...]
    choice: str = "auto"
    stream: bool = False
    limit: int = Field(ge=1)  # tokens
    temperature: float = Field(default=0.0, ge=0.0, le=2.0)


Asked = Continuation | Rolling | Writing | Calling


class Scored(Frozen):
    """The answer to a ``Continuation`` or ``Rolling``: natural logs per token, and whether greedy decoding would write it.

    ``cut`` counts tokens of the opening that did not fit into the model's context and were left out at its beginning.
    """

    logs: tuple[float, ...] = ()
    greedy: bool = False
    cut: int = 0
    lost: str = ""  # why there is no answer

    @property
    def total(self) -> float:
        """The log-probability of the whole text, in nats."""
        return sum(self.logs)


class Written(Frozen):
    """The answer to a ``Writing``. ``finish`` is ``stop`` or ``length``; ``margins`` are p(first) - p(second) per token."""

    text: str = ""
    finish: str = ""
    tokens: int = 0
    margins: tuple[float, ...] = ()
    ends: tuple[int, ...] = ()  # characters of the text up to and with each token, where known
    cut: int = 0
    lost: str = ""


class Call(Frozen):
    """One call of a tool as it came; ``arguments`` is the text that should be JSON."""

    name: str
    arguments: str
    id: str = ""


class Called(Frozen):
    """The answer to a ``Calling``: everything that the message holds, as it came."""

    text: str = ""
    reasoning: str = ""
    field: str = ""  # where the reasoning stood: the message's own field, or ``inline``
    calls: tuple[Call, ...] = ()
    finish: str = ""
    tokens: int | None = None  # billed, None where nothing is said
    problems: tuple[str, ...] = ()  # breaches of the protocol, in words
    apart: tuple[Call, ...] = ()  # the calls of a stream that gave several of them one index, each by itself
    source: Literal["message", "text"] = "message"  # text: calls were read from what a model wrote, by its own template
    cut: int = 0
    lost: str = ""


#: What an answer's loss begins with that is nobody's fault for good: it is not stored, and asked again.
UNREACHED = "not reached: "
#: How the loss of a checkpoint's calls begins whose template does not say how calls are written.
UNREADABLE = "calls of tools cannot be read: "
Answered = Scored | Written | Called


def answer_kind(asked: Asked) -> type[Answered]:
    """The kind of answer that belongs to a request."""
    return Written if isinstance(asked, Writing) else Called if isinstance(asked, Calling) else Scored

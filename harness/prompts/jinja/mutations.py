"""Requests made for one decision of a template: what it looks for is put wherever a request can hold it. Pure.

A decision that was reached shows what it held against what. Texts and numbers among that become texts of messages, roles, names,
keys, options, lengths, counts and dates; a request that reached the decision is changed in one place, so that whatever else it
needed to get there stays as it was.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from harness.prompts.conversation import Conversation

Message = dict[str, JsonValue]
Change = Callable[[Conversation], Conversation | None]

_MOST_MESSAGES = 400
_LONGEST = 40_000
_MOST_TOOLS = 64
_WORDS_SHOWN = 48
_FIRST = 3  # numbers that are tried before texts
#: Texts of kinds that conditions ask for without naming them.
KINDS = (
    "日本語 ñ",
    "12345",
    "",
    "   ",
    "LOUD WORDS",
    "quiet words",
    "https://example.org/a?b=c",
    "a" * 5000,
    "x = 1\n\ty",
)
#: Values of other types than a text.
_OTHERS: tuple[JsonValue, ...] = (None, [{"type": "text", "text": "a part"}])
#: Keys of messages that the suite's own conversations do not hold become keys; these are set by their own kinds of change.
_OWN_KEYS = {
    "role",
    "content",
    "tool_calls",
    "messages",
    "tools",
    "function",
    "arguments",
    "loop",
    "index0",
    "index",
    "length",
}
_DAY = datetime.timedelta(days=1)
#: Days on which a template is always rendered that asks for the date: long ago, soon, in some years, far ahead.
DAYS = ("1999-12-31T23:59:59", "2027-07-04T00:30:00", "2031-03-09T09:00:00", "2099-11-22T18:45:00")


@dataclass(frozen=True, slots=True)
class Mutation:
    """A change of a request, or of the time at which it is made; ``words`` say which."""

    words: str
    change: Change | None = None
    clock: str = ""


def mutations(
    literals: Iterable[Any], names: Iterable[str], formats: Iterable[str], clock: str, *, dated: bool
) -> Iterator[Mutation]:
    """Every change for what one decision was seen to look for; the likeliest first."""
    texts = list(dict.fromkeys(one for one in literals if isinstance(one, str) and one))
    numbers = list(dict.fromkeys(int(n) for n in literals if isinstance(n, int | float) and not isinstance(n, bool)))
    if dated:
        yield from _times(texts, numbers, list(formats), clock)
    names = [name for name in names if name not in _OWN_KEYS]
    for number in numbers[:_FIRST]:
        yield from _with_number(number, names)
    for text in texts:
        yield from _with_text(text, names)
    for number in numbers[_FIRST:]:
        yield from _with_number(number, names)
    yield from _with_kinds(names)


#: How a text comes into another one; what else stands there stays, because other conditions may look for it.
_FORMS: dict[str, Callable[[str, str], str]] = {
    "contains": lambda old, text: f"{old[: len(old) // 2]} {text} {old[len(old) // 2 :]}",
    "is": lambda _, text: text,
    "begins with": lambda old, text: f"{text} {old}",
    "ends with": lambda old, text: f"{old} {text}",
    "touches": lambda old, text: f"{old}{text}ed",
}


def _with_text(text: str, names: list[str]) -> Iterator[Mutation]:
    shown = repr(text[:_WORDS_SHOWN])
    near = {text[:-1] + chr(ord(text[-1]) + step) for step in (1, -1) if 0 < ord(text[-1]) + step < 0xD800}
    for how, form in _FORMS.items():
        for role in ("user", "system", "assistant", "tool", "every"):
            words = f"{_whose(role)} {how} {shown}"
            yield Mutation(words, lambda c, r=role, f=form: with_content(c, r, lambda old: f(old, text)))  # type: ignore[misc]
        yield Mutation(f"the first message {how} {shown}", lambda c, f=form: _first(c, lambda old: f(old, text)))  # type: ignore[misc]
    part: JsonValue = [{"type": "text", "text": f"tell me {text} now"}]
    yield Mutation(f"a text part contains {shown}", lambda c: with_content(c, "user", part))
    yield Mutation(f"the last message is of the role {shown}", lambda c: _at(c, -1, {"role": text}))
    yield Mutation(f"the first message is of the role {shown}", lambda c: _at(c, 0, {"role": text}))
    yield Mutation(
        f"a further message is of the role {shown}", lambda c: _added(c, {"role": text, "content": "And so on."})
    )
    yield Mutation(f"a tool is called {shown}", lambda c: _with_tool(c, name=text))
    yield Mutation(f"a tool's description contains {shown}", lambda c: _with_tool(c, description=f"It will {text} it."))
    yield Mutation(f"a tool's parameter is called {shown}", lambda c: _with_tool(c, parameter=text))
    yield Mutation(f"a call is of the tool {shown}", lambda c: _with_call(c, text, {"place": "Lima"}))
    yield Mutation(f"an argument of a call is {shown}", lambda c: _with_call(c, "get_weather", {text: text}))
    yield Mutation(
        f"a part is of the type {shown}", lambda c: with_content(c, "user", [{"type": text, "text": "a part"}])
    )
    for name in names:
        yield Mutation(f"the option {name} is {shown}", lambda c, n=name: _option(c, n, text))  # type: ignore[misc]
        yield Mutation(f"messages have {name} = {shown}", lambda c, n=name: _each(c, {n: text}))  # type: ignore[misc]
    yield Mutation(f"messages have the key {shown}", lambda c: _each(c, {text: "a word"}))
    for other in sorted(near):
        yield Mutation(f"{_whose('user')} is {other[:_WORDS_SHOWN]!r}", lambda c, o=other: with_content(c, "user", o))  # type: ignore[misc]


def _whose(role: str) -> str:
    return "every message" if role == "every" else f"the last {role} message"


def _with_number(number: int, names: list[str]) -> Iterator[Mutation]:
    for count in (number + 1, number, number + 2, number - 1, 2 * number + 1):
        if 0 < count <= _MOST_MESSAGES:
            yield Mutation(f"there are {count} messages", lambda c, n=count: _lengthened(c, n))  # type: ignore[misc]
    for size in (number + 1, number, number - 1, 2 * number):
        if 0 <= size <= _LONGEST:
            for role in ("user", "system"):
                words = f"{_whose(role)} has {size} characters"
                yield Mutation(words, lambda c, n=size, r=role: with_content(c, r, _text_of(n)))  # type: ignore[misc]
    for count in (number, number + 1):
        if 0 < count <= _MOST_TOOLS:
            yield Mutation(f"there are {count} tools", lambda c, n=count: _with_tools(c, n))  # type: ignore[misc]
    words = _text_of(0) or ("word " * min(max(number + 1, 0), 4000)).strip()
    yield Mutation(f"{_whose('user')} has {number + 1} words", lambda c: with_content(c, "user", words))
    for name in names:
        for value in (number, number + 1, number - 1):
            yield Mutation(f"the option {name} is {value}", lambda c, n=name, v=value: _option(c, n, v))  # type: ignore[misc]


def _with_kinds(names: list[str]) -> Iterator[Mutation]:
    values: tuple[JsonValue, ...] = (True, False, "a word", None, ["a word"], {"a": "word"})
    for name in names:
        for value in values:
            yield Mutation(f"the option {name} is {value!r}", lambda c, n=name, v=value: _option(c, n, v))  # type: ignore[misc]
        for value in values[:4]:
            yield Mutation(f"messages have {name} = {value!r}", lambda c, n=name, v=value: _each(c, {n: v}))  # type: ignore[misc]
        yield Mutation(f"messages lack {name}", lambda c, n=name: _without(c, n))  # type: ignore[misc]
    for text in KINDS:
        shown = repr(text[:_WORDS_SHOWN])
        for role in ("user", "system", "assistant"):
            yield Mutation(f"{_whose(role)} is {shown}", lambda c, r=role, t=text: with_content(c, r, t))  # type: ignore[misc]
    for value in _OTHERS:
        yield Mutation(f"{_whose('user')} holds {value!r}", lambda c, v=value: with_content(c, "user", v))  # type: ignore[misc]
        yield Mutation(f"{_whose('system')} holds {value!r}", lambda c, v=value: with_content(c, "system", v))  # type: ignore[misc]
    yield Mutation("there are no tools", lambda c: c.model_copy(update={"tools": None}))
    yield Mutation("there is a tool", _with_tool)
    yield Mutation("there is a call", lambda c: _with_call(c, "get_weather", {"place": "Lima"}))
    yield Mutation("no reply is asked for", lambda c: c.model_copy(update={"generation": False}))
    yield Mutation("a reply is asked for", lambda c: c.model_copy(update={"generation": True, "continue_final": False}))
    yield Mutation("there are 61 messages", lambda c: _lengthened(c, 61))
    yield Mutation("the first message is left out", lambda c: c.model_copy(update={"messages": c.messages[1:]}))
    yield Mutation("the last message is left out", lambda c: c.model_copy(update={"messages": c.messages[:-1]}))
    yield Mutation("the last message is the assistant's", lambda c: _added(c, {"role": "assistant", "content": "So."}))
    yield Mutation("another user message follows", lambda c: _added(c, {"role": "user", "content": "And so on?"}))


def with_content(conversation: Conversation, role: str, new: JsonValue | Callable[[str], str]) -> Conversation:
    """The last message of a role with other content, or content made of the old; one is added where there is none."""

    def made(old: JsonValue) -> JsonValue:
        return new(old if isinstance(old, str) else "") if callable(new) else new

    messages = [dict(message) for message in conversation.messages]
    at = [k for k, message in enumerate(messages) if role in {"every", message.get("role")}]
    for k in at if role == "every" else at[-1:]:
        messages[k]["content"] = made(messages[k].get("content"))
    content = made("And so on.")
    if at:
        pass
    elif role == "system":
        messages.insert(0, {"role": "system", "content": content})
    elif role == "assistant":
        messages += [{"role": "assistant", "content": content}, {"role": "user", "content": "And then?"}]
    elif role == "tool":
        return with_content(_with_call(conversation, "get_weather", {"place": "Lima"}), "tool", new)
    else:
        messages.append({"role": role, "content": content})
    return conversation.model_copy(update={"messages": tuple(messages)})


def _at(conversation: Conversation, place: int, values: Message) -> Conversation | None:
    messages = [dict(message) for message in conversation.messages]
    if not messages:
        return None
    messages[place] |= values
    return conversation.model_copy(update={"messages": tuple(messages)})


def _first(conversation: Conversation, new: Callable[[str], str]) -> Conversation | None:
    old = conversation.messages[0].get("content") if conversation.messages else None
    return _at(conversation, 0, {"content": new(old)}) if isinstance(old, str) else None


def _each(conversation: Conversation, values: Message) -> Conversation:
    return conversation.model_copy(update={"messages": tuple({**m, **values} for m in conversation.messages)})


def _without(conversation: Conversation, key: str) -> Conversation:
    kept = tuple({k: v for k, v in message.items() if k != key} for message in conversation.messages)
    return conversation.model_copy(update={"messages": kept})


def _added(conversation: Conversation, message: Message) -> Conversation:
    return conversation.model_copy(update={"messages": (*conversation.messages, message)})


def _option(conversation: Conversation, name: str, value: JsonValue) -> Conversation:
    return conversation.model_copy(update={"options": {**conversation.options, name: value}})


def _lengthened(conversation: Conversation, count: int) -> Conversation:
    """A conversation of exactly so many messages: its history is longer, or its end is cut off."""
    messages = list(conversation.messages)
    if len(messages) >= count:
        return conversation.model_copy(update={"messages": tuple(messages[:count])})
    head = messages[:1] if messages and messages[0].get("role") == "system" else []
    rest, missing = messages[len(head) :], count - len(messages)
    turns: list[Message] = [{"role": ("user", "assistant")[k % 2], "content": f"Line {k + 1}."} for k in range(missing)]
    if missing % 2:  # turns alternate as far as they can
        turns = turns[:-1]
        rest = [*rest, {"role": "assistant", "content": "So it is."}]
    return conversation.model_copy(update={"messages": (*head, *turns, *rest)})


def _tool(name: str = "get_weather", description: str = "Look up.", parameter: str = "place") -> Message:
    schema: JsonValue = {"type": "object", "properties": {parameter: {"type": "string", "description": parameter}}}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


def _with_tool(conversation: Conversation, **changes: str) -> Conversation:
    return conversation.model_copy(update={"tools": (*(conversation.tools or ()), _tool(**changes))})


def _with_tools(conversation: Conversation, count: int) -> Conversation:
    return conversation.model_copy(update={"tools": tuple(_tool(f"tool_{k}") for k in range(count))})


def _with_call(conversation: Conversation, name: str, arguments: dict[str, JsonValue]) -> Conversation:
    call: JsonValue = {"id": "Rk7vQ2mXa", "type": "function", "function": {"name": name, "arguments": arguments}}
    turns: tuple[Message, ...] = (
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "Rk7vQ2mXa", "name": name, "content": "overcast"},
    )
    return _with_tool(conversation, name=name).model_copy(update={"messages": (*conversation.messages, *turns)})


def _text_of(size: int) -> str:
    return ("lorem " * (size // 6 + 1))[:size]


def _times(texts: list[str], numbers: list[int], formats: list[str], clock: str) -> Iterator[Mutation]:
    """Times at which a date in one of the formats is one of the texts or numbers, just before it, or just after it."""
    base = datetime.datetime.fromisoformat(clock)
    days = [base + _DAY * k for k in range(-2, 800)]
    hours = [base.replace(hour=h, minute=m) for h in range(24) for m in (0, 31, 59)]
    months = [base.replace(month=m, day=min(base.day, 28)) for m in range(1, 13)]
    dates = [base.replace(month=1, day=d) for d in range(1, 32)]
    years = [base.replace(year=y, day=min(base.day, 28)) for y in (*range(1995, 2061), 2099, 2500)]
    found: list[datetime.datetime] = []
    wanted = [n + step for step in (0, 1, -1) for n in numbers]
    for form in formats:
        shown: dict[str, datetime.datetime] = {}
        for moment in (*hours, *months, *years, *dates, *days):
            shown.setdefault(moment.strftime(form), moment)
        found += [shown[text] for text in texts if text in shown]
        found += [shown[word] for n in wanted for word in (str(n), f"{n:02d}") if word in shown]
        for text in texts:
            with contextlib.suppress(ValueError):
                exact = datetime.datetime.strptime(text, form)
                found.append(exact if exact.year > 1900 else exact.replace(year=base.year))
    for text in texts:
        found += _dates_in(text)
    around = [one + _DAY * step for step in (0, 1, -1) for one in found]
    around += [one + 366 * _DAY for one in found[:8]]
    told = [moment.isoformat(timespec="seconds") for moment in around]
    for time in [*[*dict.fromkeys(told)][:60], *DAYS]:
        yield Mutation(f"it is {time}", clock=time)


def _dates_in(text: str) -> list[datetime.datetime]:
    found = []
    for form in (
        "%Y-%m-%d",
        "%Y%m%d",
        "%Y-%m",
        "%Y",
        "%d %b %Y",
        "%d %B %Y",
        "%B %d, %Y",
        "%b %d, %Y",
        "%m/%d/%Y",
        "%d/%m/%Y",
    ):
        try:
            moment = datetime.datetime.strptime(text.strip(), form)
        except ValueError:
            continue
        if 1990 < moment.year < 9000:
            found.append(moment.replace(hour=12))
    return found

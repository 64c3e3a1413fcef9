"""One reply to one case of calling tools: which aspects of it are right. Pure.

Every aspect asks one question and can fail by itself. ``case`` is all of them together: whether a program that asked can go on.
"""

from __future__ import annotations

import functools
import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.suites.requests import Call, Called
from harness.suites.tool_cases import ExpectedCall, ToolCase

#: Marks of templates, and bytes of vocabularies that nobody decoded, by which a text shows that its parser missed something.
_MARKS = re.compile(
    r"<\|[^|<>\s]{1,40}\|>|<\uff5c[^\uff5c<>]{1,40}\uff5c>|"
    r"</?(?:think|thinking|tool_call|tool_calls|tool_response|tools|function_calls?|arg_key|arg_value|invoke|TOOLCALL|"
    r"(?:minimax|mm|m|seed):\w+)\b[^<>]{0,80}>|"
    r"<(?:function|parameter)=[^<>]{1,80}>|</(?:function|parameter)>|\u25c1/?think\u25b7|```tool_code|"
    r"\[/?(?:TOOL_CALLS|ARGS|CALL_ID|THINK|AVAILABLE_TOOLS|TOOL_RESULTS|INST)\]|\]<\]minimax\[>\[|<0x[0-9A-F]{2}>|[\u0120\u010a](?=\w)"
)
#: What hosts write for a reply that ended by itself.
_ENDED = frozenset({"stop", "eos", "eos_token", "end", "end_turn", "stop_sequence"})
#: Scripts by the first word of their letters' Unicode names; letters of no script (units, long vowels) are of none.
_SCRIPTS = frozenset(
    {"LATIN", "CYRILLIC", "GREEK", "ARABIC", "HEBREW", "DEVANAGARI", "THAI", "HANGUL", "HIRAGANA", "KATAKANA", "CJK", "ARMENIAN",
     "GEORGIAN", "BENGALI", "TAMIL", "TELUGU", "KANNADA", "MALAYALAM", "GUJARATI", "GURMUKHI", "KHMER", "LAO", "MYANMAR",
     "TIBETAN", "ETHIOPIC", "SINHALA"}
)  # fmt: skip
_OWN_SCRIPT = 0.3  # share of letters that have to be of the scripts asked for
_WHOLE = 0.98  # part of the limit from which on a reply that ended for its length reached it
_SHOWN = 2000


@dataclass(frozen=True, slots=True)
class Mark:
    """What became of one aspect: whether it applies to this reply, whether it is right, and what was seen."""

    right: bool
    applies: bool = True
    seen: str = ""


def mark_reply(case: ToolCase, reply: Called, twin: Called | None) -> dict[str, Mark]:
    """The aspects of a reply that ended by itself; those that this case cannot show are absent."""
    found = {name: mark for name, judge in _ASPECTS.items() if (mark := judge(case, reply, twin)) is not None}
    content = [mark.right for name, mark in found.items() if name in CONTENT]
    whole = [mark.right for name, mark in found.items() if name not in ALONE]
    shown = shown_reply(reply)
    return {"case": Mark(all(whole), seen=shown), "content": Mark(all(content), seen=shown), **found}


def unparsed(case: ToolCase, reply: Called) -> bool:
    """Whether a text holds, as objects with a name and arguments, the calls that are right and that nobody read."""
    if reply.calls or not case.calls or reply.source == "text":
        return False
    found: list[Call] = []
    place = 0
    while (brace := reply.text.find("{", place)) >= 0 and len(found) <= len(case.calls):
        try:
            value, place = json.JSONDecoder().raw_decode(reply.text, brace)
        except (ValueError, RecursionError):
            place = brace + 1
            continue
        given = value.get("arguments", value.get("parameters")) if isinstance(value, dict) else None
        if isinstance(given, dict) and isinstance(value.get("name"), str):
            found.append(Call(name=value["name"], arguments=json.dumps(given)))
        else:
            place = brace + 1
    held = reply.model_copy(update={"calls": tuple(found)})
    return _right_calls(case, held)


def merged(case: ToolCase, reply: Called) -> bool:
    """Whether the calls that are right came whole, and a breach of the protocol alone makes clients put them together wrongly."""
    held = reply.model_copy(update={"calls": reply.apart})
    return bool(reply.apart and case.calls) and _right_calls(case, held)


def _right_calls(case: ToolCase, reply: Called) -> bool:
    return all(mark is None or mark.right for mark in (_choice(case, reply, None), _arguments(case, reply, None)))


def cut_early(reply: Called, limit: int) -> bool:
    """Whether a reply ended for its length before the limit that was asked for."""
    return reply.finish == "length" and reply.tokens is not None and reply.tokens < _WHOLE * limit


def shown_reply(reply: Called) -> str:
    """A reply on one line: its calls, or else what it says."""
    if reply.calls:
        return "; ".join(f"{call.name}({call.arguments})" for call in reply.calls)[:_SHOWN]
    return reply.text[:_SHOWN]


def parsed(arguments: str) -> Any:
    """Arguments as JSON; None for what is none or no object."""
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _trigger(case: ToolCase, reply: Called, _: Called | None) -> Mark | None:
    """Is a tool called where one is needed, and none where none is?"""
    if case.forces:
        return None
    return Mark(bool(reply.calls) == bool(case.calls), seen="call" if reply.calls else "no call")


def _forced(case: ToolCase, reply: Called, _: Called | None) -> Mark | None:
    """Is the request's own choice kept?"""
    names = [call.name for call in reply.calls]
    if case.choice == "none":
        right = not names
    elif case.choice == "required":
        right = bool(names)
    else:
        right = bool(names) and set(names) == {case.choice}
    return Mark(right, seen=", ".join(names) or "no call") if case.forces else None


def _choice(case: ToolCase, reply: Called, _: Called | None) -> Mark | None:
    """Are the right tools called, each as often as is right?"""
    if not case.calls:
        return None
    names = sorted(call.name for call in reply.calls)
    return Mark(names == sorted(call.name for call in case.calls), seen=", ".join(names) or "no call")


def _arguments(case: ToolCase, reply: Called, _: Called | None) -> Mark | None:
    """Do the calls carry what was asked for?"""
    if not any(call.arguments for call in case.calls):
        return None
    left = list(reply.calls)
    right = len(left) == len(case.calls)
    for wanted in case.calls:
        fit = next((call for call in left if _fits(wanted, call, exact=case.exact)), None)
        right = right and fit is not None
        if fit is not None:
            left.remove(fit)
    return Mark(right, seen=_canonical(reply.calls))


def _fits(wanted: ExpectedCall, call: Call, *, exact: bool) -> bool:
    given = parsed(call.arguments)
    if call.name != wanted.name or given is None:
        return False
    return all(
        key in given and any(_same(given[key], value, exact=exact) for value in values)
        for key, values in wanted.arguments.items()
    )


def _same(one: Any, other: Any, *, exact: bool) -> bool:
    """Whether two JSON values are the same: 1 and 1.0 are, true and 1 are not; texts without regard to case unless exact."""
    if isinstance(one, str) and isinstance(other, str):
        return one == other if exact else one.strip().casefold() == other.strip().casefold()
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return set(one) == set(other) and all(_same(one[key], other[key], exact=exact) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(_same(a, b, exact=exact) for a, b in zip(one, other, strict=True))
    return bool(one == other)


def _canonical(calls: Sequence[Call]) -> str:
    """Calls as one text that does not depend on their order, on blanks or on the order of keys."""
    told = [
        [call.name, parsed(call.arguments) if parsed(call.arguments) is not None else call.arguments] for call in calls
    ]
    return "\n".join(sorted(json.dumps(one, sort_keys=True, ensure_ascii=False) for one in told))[:_SHOWN]


def _schema(case: ToolCase, reply: Called, _: Called | None) -> Mark | None:
    """Do the calls name offered tools, with arguments that are JSON and fit their schemas?"""
    problem = next((found for call in reply.calls if (found := misfit(case, call))), "")
    return Mark(not problem, applies=bool(reply.calls), seen=problem or "fits")


def misfit(case: ToolCase, call: Call) -> str:
    """Why a call does not fit what was offered; empty if it does."""
    if call.name not in case.schemas:
        return "a tool that was not offered"
    given = parsed(call.arguments)
    if given is None:
        return "arguments that are no JSON object"
    try:
        error = next(_validator(json.dumps(case.schemas[call.name])).iter_errors(given), None)
    except RecursionError:
        return "arguments that are too deep"
    return f"{'.'.join(str(part) for part in error.path) or 'arguments'}: {error.validator}" if error else ""


@functools.lru_cache(maxsize=256)
def _validator(schema: str) -> Any:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - slow to import

    return Draft202012Validator(json.loads(schema))


def _answer(case: ToolCase, reply: Called, _: Called | None) -> Mark | None:
    """Does an answer say what it has to say, and anything at all?"""
    if case.calls:
        return None
    text = _digits(_MARKS.sub(" ", reply.text)).casefold()
    needed = [alternatives for alternatives in (case.says, case.says_too) if alternatives]
    right = bool(text.strip()) and all(any(_stands(one.casefold(), text) for one in group) for group in needed)
    return Mark(right, seen=reply.text[:_SHOWN])


def _stands(word: str, text: str) -> bool:
    """Whether a text holds something as a word of its own: 12 is not in 125, but in 12°C and in scripts without blanks."""
    before = r"(?<![0-9a-z])(?<![0-9][.,])" if word[:1].isascii() else ""
    number = r"(?![0-9])(?![.,](?!0+(?![0-9]))[0-9])"  # 25 is not in 25.9, but in 25.00
    after = number if word[-1:].isdigit() else r"(?![0-9a-z])" if word[-1:].isascii() else ""
    return re.search(before + re.escape(word) + after, text) is not None


def _digits(text: str) -> str:
    """A text with the digits of every script as 0 to 9."""
    return "".join(str(unicodedata.digit(one, None) or 0) if one.isdecimal() else one for one in text)


def _language(case: ToolCase, reply: Called, _: Called | None) -> Mark | None:
    """Is an answer written in the script of the question?"""
    if not case.scripts:
        return None
    said = _MARKS.sub(" ", reply.text)  # marks are judged by themselves
    names = [unicodedata.name(one, "").replace("-", " ").split(" ")[0] for one in said if one.isalpha()]
    letters = [name for name in names if name in _SCRIPTS]
    foreign = {name for name in letters if name not in case.scripts and name != "LATIN"}
    right = sum(name in case.scripts for name in letters) >= _OWN_SCRIPT * len(letters) and not foreign
    return Mark(right, applies=bool(letters), seen=", ".join(sorted(set(letters)))[:200])


def _speaks(_: ToolCase, reply: Called, __: Called | None) -> Mark:
    """Is there a text or a call, and not reasoning alone or nothing?"""
    return Mark(bool(reply.text.strip() or reply.calls), seen=reply.field or "none")


def _marks(case: ToolCase, reply: Called, _: Called | None) -> Mark | None:
    """Is the text free of marks of the template? Marks that the conversation itself holds do not count.

    Not asked where calls are forbidden: engines that leave the tools in the prompt show there what the model would have called.
    """
    if case.choice == "none":
        return None
    asked = "\n".join(_texts(list(case.messages)))
    found = [mark for mark in _MARKS.findall(reply.text) if mark not in asked]
    return Mark(not found, seen=", ".join(dict.fromkeys(found))[:200])


def _texts(value: Any) -> list[str]:
    """All texts inside a JSON value."""
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [text for one in inner for text in _texts(one)]


def _finish(case: ToolCase, reply: Called, _: Called | None) -> Mark | None:
    """Does ``finish_reason`` say what came? Forced calls may end with ``stop``, as the protocol and many engines have it.

    Not asked of a checkpoint, which says nothing by itself.
    """
    if reply.source == "text":
        return None
    said = reply.finish.lower()
    right = (
        said in ({"tool_calls", "function_call"} | (_ENDED if case.forces else set()))
        if reply.calls
        else said in _ENDED
    )
    return Mark(right, seen=f"{reply.finish or 'none'} with {'calls' if reply.calls else 'no call'}")


def _protocol(_: ToolCase, reply: Called, __: Called | None) -> Mark | None:
    """Does the answer keep the protocol? Not asked of a checkpoint, which has none."""
    return None if reply.source == "text" else Mark(not reply.problems, seen="; ".join(reply.problems)[:_SHOWN])


def _streams(case: ToolCase, reply: Called, twin: Called | None) -> Mark | None:
    """Does the stream call what the whole answer to the same request calls?"""
    if not case.twin or twin is None or twin.lost or twin.finish == "length":
        return None
    return Mark(_canonical(reply.calls) == _canonical(twin.calls), seen=_canonical(reply.calls))


Judge = Callable[[ToolCase, Called, Called | None], Mark | None]
_ASPECTS: Mapping[str, Judge] = {
    "trigger": _trigger, "forced": _forced, "choice": _choice, "arguments": _arguments, "schema": _schema, "answer": _answer,
    "language": _language, "speaks": _speaks, "marks": _marks, "finish": _finish, "protocol": _protocol,
    "streams": _streams,
}  # fmt: skip
#: Aspects that stand beside the whole case: conventions of hosts, and the streams of other cases.
ALONE = frozenset({"finish", "protocol", "streams"})
#: Aspects of what a model says, as against the form in which a host passes it on.
CONTENT = frozenset({"trigger", "forced", "choice", "arguments", "schema", "answer", "language"})
#: All aspects in the order in which they are told; the first decides, ``ends`` asks whether a reply ended by itself.
ASPECTS = ("case", "content", *_ASPECTS, "ends")

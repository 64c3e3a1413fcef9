"""Cases of calling tools, as they stand on disk: what is asked, which tools are offered, and what is right."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from pydantic import Field, JsonValue, ValidationError, model_validator

from harness.errors import UsageError
from harness.suites.load import shipped_folder
from harness.suites.model import Frozen
from harness.suites.requests import Calling

#: The choice that leaves it to the model.
AUTO = "auto"


class ExpectedCall(Frozen):
    """A call that is right: its tool, and for each argument that matters the values that are right for it."""

    name: str
    arguments: dict[str, tuple[JsonValue, ...]] = Field(default_factory=dict)


class ToolCase(Frozen):
    """One case. No ``calls`` means that none is right. ``says`` and ``says_too`` are alternatives that an answer must hold.

    ``exact`` compares texts letter by letter, ``scripts`` names the scripts of an answer (first words of Unicode names),
    ``twin`` the case that asks the same without a stream.
    """

    id: str
    kind: str
    messages: tuple[dict[str, JsonValue], ...]
    tools: tuple[dict[str, JsonValue], ...]
    calls: tuple[ExpectedCall, ...]
    choice: str = AUTO
    stream: bool = False
    twin: str = ""
    exact: bool = False
    says: tuple[str, ...] = ()
    says_too: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _offered(self) -> ToolCase:
        offered = self.schemas
        if missing := {call.name for call in self.calls} - set(offered):
            raise ValueError(f"expects calls of tools that it does not offer: {', '.join(sorted(missing))}")
        if self.choice not in {AUTO, "none", "required", *offered}:
            raise ValueError("choice is auto, none, required or the name of a tool that is offered")
        if not self.messages or not all(_is_turn(turn) for turn in self.messages):
            raise ValueError(
                "has no messages, or one without a role, or calls without id, name and arguments as a text"
            )
        if len(offered) < len(self.tools):
            raise ValueError("every tool needs a name of its own: {'type': 'function', 'function': {'name': ...}}")
        if any(not values for call in self.calls for values in call.arguments.values()):
            raise ValueError("an argument that matters needs at least one value that is right")
        for name, schema in offered.items():
            _check_schema(name, schema)
        return self

    @property
    def schemas(self) -> dict[str, JsonValue]:
        """The schema of each tool's arguments, by the tool's name."""
        found: dict[str, JsonValue] = {}
        for tool in self.tools:
            function = tool.get("function")
            if isinstance(function, dict) and isinstance(function.get("name"), str):
                found[str(function["name"])] = function.get("parameters", {})
        return found

    @property
    def forces(self) -> bool:
        """Whether the request says that a tool is called, or that none is."""
        return self.choice != AUTO

    def request(self, limit: int) -> Calling:
        """The case as a request of at most ``limit`` tokens."""
        return Calling(
            key=self.id, messages=self.messages, tools=self.tools, choice=self.choice, stream=self.stream, limit=limit
        )


def _is_turn(turn: dict[str, JsonValue]) -> bool:
    """Whether a message is one of the protocol's, its calls included."""
    calls = turn.get("tool_calls", [])

    def is_call(call: JsonValue) -> bool:
        function = call.get("function") if isinstance(call, dict) else None
        named = isinstance(function, dict) and isinstance(function.get("name"), str)
        return named and isinstance(function, dict) and _is_json(function.get("arguments"))

    return isinstance(turn.get("role"), str) and isinstance(calls, list) and all(is_call(call) for call in calls)


def _is_json(text: JsonValue) -> bool:
    try:
        return isinstance(text, str) and isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _check_schema(name: str, schema: JsonValue) -> None:
    """Raise ValueError for what is no JSON Schema, or looks for one elsewhere."""
    problem = _problem(json.dumps(schema if isinstance(schema, dict) else {"": schema}))
    if problem:
        raise ValueError(f"the schema of {name} is none: {problem}")
    if not isinstance(schema, dict) or not all(_resolves(schema, ref) for ref in _refs(schema)):
        raise ValueError(f"the schema of {name} must be an object that refers to nothing outside itself")


@cache
def _problem(schema: str) -> str:
    """Why a text is no JSON Schema; many cases offer the same tools, so each is looked at once."""
    from jsonschema import Draft202012Validator, SchemaError  # noqa: PLC0415 - slow to import

    try:
        Draft202012Validator.check_schema(json.loads(schema))
    except SchemaError as error:
        return error.message[:100]
    return ""


def _refs(value: JsonValue) -> list[JsonValue]:
    """Everything that a schema refers to."""
    if isinstance(value, dict):
        own = [one for key, one in value.items() if key in {"$ref", "$dynamicRef", "$recursiveRef"}]
        return own + [ref for one in value.values() for ref in _refs(one)]
    return [ref for one in value for ref in _refs(one)] if isinstance(value, list) else []


def _resolves(schema: JsonValue, ref: JsonValue) -> bool:
    """Whether a reference is a path inside the schema that leads somewhere."""
    if not isinstance(ref, str) or not (ref == "#" or ref.startswith("#/")):
        return False
    place = schema
    for part in ref.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(place, dict) or key not in place:
            return False
        place = place[key]
    return True


def shipped_cases() -> tuple[ToolCase, ...]:
    """The cases that come with the package."""
    return read_cases(shipped_folder() / "tools" / "cases.jsonl")


def read_cases(path: Path) -> tuple[ToolCase, ...]:
    """Cases of a file, a JSON object per line; raises UsageError with line and reason."""
    found: dict[str, ToolCase] = {}
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the cases cannot be read: {error}", where=str(path), fix="give a file of JSON lines"
        ) from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            case = ToolCase.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "case"
            raise UsageError(
                f"line {number}: {field}: {first['msg']}",
                where=str(path),
                fix="see suites/tools/README.md for the fields",
            ) from error
        if case.id in found:
            raise UsageError(
                f"line {number}: the id {case.id} stands twice", where=str(path), fix="rename one of the two"
            )
        found[case.id] = case
    for case in found.values():
        twin = found.get(case.twin)
        if case.twin and (twin is None or twin.twin or twin.messages != case.messages or twin.tools != case.tools):
            raise UsageError(
                f"{case.id} names a twin that does not ask the same in one piece",
                where=str(path),
                fix="name an id of this file",
            )
    if not found:
        raise UsageError("there are no cases", where=str(path), fix="write at least one")
    return tuple(found.values())

"""Find and read suites: those shipped with the package, and folders of the user's own."""

from __future__ import annotations

import difflib
import json
from importlib import resources
from pathlib import Path

import yaml
from pydantic import ValidationError

from harness.errors import UnknownName, UsageError
from harness.suites.model import Item, Profile, Suite, SuiteHead


def shipped_folder() -> Path:
    """The ``suites`` folder: inside the installed package, or at the top of a source checkout."""
    inside = Path(str(resources.files("harness"))) / "_suites"
    return inside if inside.is_dir() else Path(__file__).resolve().parents[2] / "suites"


def suite_names() -> list[str]:
    """Names of the shipped suites, sorted."""
    return sorted(folder.parent.name for folder in shipped_folder().glob("*/suite.yaml"))


def load_suite(name: str) -> Suite:
    """Load a shipped suite by name, or a suite folder by path.

    Raises UnknownName (with the closest name) or UsageError (with file, line and reason).
    """
    folder = Path(name) if "/" in name or Path(name, "suite.yaml").is_file() else shipped_folder() / name
    if not (folder / "suite.yaml").is_file():
        near = difflib.get_close_matches(name, suite_names(), n=1)
        raise UnknownName(
            f"there is no suite called {name!r}",
            fix=(f"did you mean {near[0]!r}? " if near else "") + f"shipped suites: {', '.join(suite_names())}",
        )
    head = _read_head(folder / "suite.yaml")
    return Suite(head=head, items=_read_items(folder / "items.jsonl"))


def text_suite(path: Path, window: int) -> Suite:
    """A text file as a suite of disjoint windows, scored by the convention of llama.cpp's perplexity tool."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the text cannot be read: {error}", where=str(path), fix="give a UTF-8 file") from error
    if not text.strip():
        raise UsageError("the text is empty", where=str(path), fix="give a text of at least one window")
    head = SuiteHead(
        name=f"text-{window}",
        version=1,
        title=f"{path.name} in windows of {window} tokens",
        licence="the user's",
        purpose="numbers by the convention of llama.cpp's perplexity tool",
        shows=("divergence and perplexity on the second half of each window",),
        cannot_show=(
            "Independent documents. Neighbouring windows of one text share its difficulty, so intervals are too narrow.",
            "Chat. The text is scored as it is, without a template.",
        ),
        skip_tokens=0,
        window=window,
        profiles={"full": Profile(band_documents=8), "quick": Profile(band_documents=8)},
    )
    return Suite(head=head, items=(Item(id="text", domain="text", text=text),))


def _read_head(path: Path) -> SuiteHead:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        return SuiteHead.model_validate(raw)
    except yaml.YAMLError as error:
        raise UsageError(f"this is not YAML: {error}", where=str(path), fix="mend the file") from error
    except ValidationError as error:
        raise UsageError(_first_fault(error, list(SuiteHead.model_fields)), where=str(path)) from error


def _read_items(path: Path) -> tuple[Item, ...]:
    items: list[Item] = []
    seen: set[str] = set()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UsageError(f"the items cannot be read: {error.strerror}", where=str(path)) from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            item = Item.model_validate(json.loads(line))
        except json.JSONDecodeError as error:
            raise UsageError(f"this line is not JSON: {error.msg}", where=where) from error
        except ValidationError as error:
            raise UsageError(_first_fault(error, list(Item.model_fields)), where=where) from error
        if item.id in seen:
            raise UsageError(f"the id {item.id!r} is used twice", where=where, fix="give every item its own id")
        seen.add(item.id)
        items.append(item)
    if not items:
        raise UsageError("the suite has no items", where=str(path), fix="add at least one line")
    return tuple(items)


def _first_fault(error: ValidationError, known: list[str]) -> str:
    """The first problem of a validation in words, with the closest known key for a misspelt one."""
    fault = error.errors()[0]
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, known, n=1)
        return f"unknown key {key!r}" + (f"; did you mean {near[0]!r}?" if near else "")
    return f"{key or 'item'}: {fault['msg']}"

"""The house rules that a machine can check."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "harness").rglob("*.py"))


def test_files_are_short_and_named_for_what_they_hold():
    """No file over 500 lines, a median near 150, and no drawer for everything."""
    lengths = sorted(len(path.read_text().splitlines()) for path in FILES)
    assert lengths[-1] <= 500
    assert lengths[len(lengths) // 2] <= 200
    assert not {path.name for path in FILES} & {"utils.py", "helpers.py", "common.py", "misc.py"}


def public(body):
    """Public classes, functions and methods; functions inside functions are nobody else's business."""
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_public_thing_has_a_docstring(path):
    """Modules, classes, functions and methods say what they mean."""
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree) or path.name == "__init__.py"
    for node in public(tree.body):
        assert ast.get_docstring(node), f"{path.name}: {node.name}"


def test_every_test_has_a_sentence():
    """A test says in words what it proves."""
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                assert ast.get_docstring(node), f"{path.name}: {node.name}"


def test_the_pipeline_stays_a_story():
    """One function per stage, under 200 lines."""
    assert len((ROOT / "harness" / "pipeline.py").read_text().splitlines()) < 200

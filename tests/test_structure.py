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


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_public_thing_has_a_docstring(path):
    """Modules, classes and functions say what they mean."""
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree) or path.name == "__init__.py"
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            if isinstance(node, ast.FunctionDef) and node.name in {
                "on_signal",
                "compare",
                "facts",
                "share",
                "x",
                "y",
                "read",
                "add",
            }:
                continue  # local functions
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

"""Advice is tried: lines that say what to do next name only what exists where they are printed, and forms they show are read."""

from __future__ import annotations

import ast
import functools
import re
import tomllib
from importlib import import_module
from pathlib import Path

import click
import pytest

from harness.cli.main import _VERBS
from harness.suites.tool_cases import shipped_cases
from harness.targets.bank import bank_members
from harness.targets.endpoint.address import parse_address
from harness.targets.sampler import parse_sampler
from harness.targets.spec import Runtime, parse_spec
from harness.verdicts.catalogue import CATALOGUE
from harness.verdicts.gates.expression import EXAMPLES, parse_gate

ROOT = Path(__file__).resolve().parents[1]
#: By the folder or file that holds a line, the verbs that print it: each must have its options. The longest path counts.
PRINTED_BY = {
    "auditing": ("compare",), "auditing/planning.py": ("plan",), "cli/gate.py": ("gate",), "cli/endpoint.py": ("compare",),
    "cli/output.py": ("report", "gate"), "comparisons": ("compare", "report"), "comparisons/baselines.py": ("compare", "gate"),
    "config.py": ("compare", "tasks", "tools", "template"), "evidence": ("compare",), "gating": ("compare", "gate"),
    "gating/baselines.py": ("baseline",), "isolation": ("compare",), "observations": ("compare",),
    "observations/journal.py": ("compare", "show", "report", "gate", "publish", "baseline"),
    "observations/stored_runs.py": ("show", "report", "gate", "publish", "baseline"), "observations/lm_eval.py": ("tasks",),
    "observations/vendor_files.py": ("vendor",), "pipeline.py": ("compare",), "prompting": ("template", "compare"),
    "prompting/impact.py": ("template",), "prompting/served.py": ("template",), "prompts": ("compare", "template"),
    "prompts/questions.py": ("compare",), "publishing": ("publish",), "reports": ("report", "gate"),
    "suites": ("compare",),
    "suites/tool_cases.py": ("tools",), "targets": ("compare",), "targets/demo_model.py": ("demo",),
    "targets/prompt_source.py": ("template",), "targets/checkpoint/openings.py": ("tasks",), "tasking": ("tasks", "tools"),
    "tasking/records.py": ("tools",), "testing.py": (), "verdicts": ("compare", "gate"),
    "verdicts/gates/policy.py": ("compare",),
}  # fmt: skip
#: Variables that hold a part of such a line.
NAMED = {"fix", "hint", "again", "_KNOWN"}
PYTEST = {"--fidelity-update-new-only", "--fidelity-update"}


def fixes() -> list[tuple[str, str]]:
    """Every text that is given as ``fix``, with where it stands; what is worked out at run time is shown as its source."""
    found = []
    for path in sorted((ROOT / "harness").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            given = [one.value for one in node.keywords if one.arg == "fix"] if isinstance(node, ast.Call) else []
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in NAMED:
                given = [node.value]
            for value in given:
                parts = [one.value for one in ast.walk(value) if isinstance(one, ast.Constant)]
                text = " ".join(str(part) for part in parts if isinstance(part, str))
                found.append((f"{path.relative_to(ROOT / 'harness')}:{value.lineno}", text))
    return found + [(f"verdicts/catalogue {code}", entry.fix) for code, entry in CATALOGUE.items()]


FIXES = fixes()


@functools.cache
def options(verb: str) -> set[str]:
    """The options of a verb and of what stands under it."""
    command = import_module(f"harness.cli.{verb}").command
    below = list(command.commands.values()) if isinstance(command, click.Group) else []
    return {name for one in [command, *below] for param in one.params for name in (*param.opts, *param.secondary_opts)}


def verbs_of(place: str) -> tuple[str, ...]:
    """Which verbs may print a line."""
    if place.startswith("verdicts/catalogue"):
        return tuple(_VERBS)
    path = place.partition(":")[0]
    return next((PRINTED_BY[part] for part in sorted(PRINTED_BY, key=len, reverse=True) if path.startswith(part)), ())


def test_there_are_lines_to_try():
    """The scan finds them."""
    assert len(FIXES) > 150
    assert all(verbs_of(place) or place.startswith("testing.py") for place, _ in FIXES)


@pytest.mark.parametrize(("place", "text"), FIXES, ids=[place for place, _ in FIXES])
def test_what_a_line_names_exists_where_it_is_printed(place, text):
    """Verbs, options of the verb that is named or of those that print the line, and extras."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for extra in re.findall(r"fidelity-harness\[([\w-]+)\]", text):
        assert extra in extras
    called = re.findall(r"fidelity ([a-z]+)\b", text)
    assert all(verb in _VERBS for verb in called), called
    printing = [options(verb) for verb in verbs_of(place)]
    shared = (
        set.union if place.startswith("verdicts/catalogue") else set.intersection
    )  # findings are told by several verbs
    known = {name for verb in called for name in options(verb)} | PYTEST | (shared(*printing) if printing else set())
    for option in re.findall(r"(?<![\w-])--?[a-z][\w-]*", text):
        assert option in known or option in {"-U", "-c", "-m"}, option
    assert "do not trust" not in text  # says nothing to do, and was printed for formats that are merely not read


@pytest.mark.parametrize(
    ("shown", "read"),
    [
        ("https://host/v1#m", parse_address), ("https://host/v1#model", parse_address), ("temperature=0.7", parse_sampler),
        ("top_p=0.95", parse_sampler), ("top_k=40", parse_sampler), ("min_p=0.05", parse_sampler),
        ("rtn:4:PATH", lambda text: parse_spec(text, Runtime())), ("rtn:4g64:PATH", lambda text: parse_spec(text, Runtime())),
        ("other:PATH", lambda text: bank_members((text,), parse_spec("REF", Runtime()))),
    ],
)  # fmt: skip
def test_forms_that_lines_show_are_read(shown, read):
    """As they stand; each stands in some line."""
    assert any(shown in text for _, text in FIXES)
    assert read(shown)


def test_gates_that_lines_show_are_read():
    """Every example."""
    for shown in re.findall(r"'([^']+)'", EXAMPLES) or EXAMPLES.split(", "):
        assert parse_gate(shown)


def test_extras_are_installed_by_their_name():
    """What is asked for by pip is what the project offers, and a shell takes it: brackets stand in quotes."""
    named = [text for _, text in FIXES if "pip install" in text and "fidelity-harness[" in text]
    assert named
    for text in named:
        assert re.search(r"""pip install (['"])fidelity-harness\[[\w-]*\s?[\w-]*\]\1""", text) or " ] " in text + " ", (
            text
        )


def test_ids_that_must_be_unique_are():
    """The advice to rename a case is for files of others: the shipped ones need none."""
    names = [case.id for case in shipped_cases()]
    assert len(set(names)) == len(names)

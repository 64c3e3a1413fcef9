"""The calibration of gates on documents and copies that nothing about them was chosen on.

    make bench-gates-held-out

Population: two sets of 104 documents of Python's standard library, half of them descriptions of modules and half code. "modules":
its single modules, with the token rows of the demo model's Q4_0 copy (the baseline) and of its nf4 copy; the factor of gates was
chosen without them, the unseen document of decision 0009 on them. "packages": modules of its packages, with an int8 copy (the
baseline) and an fp4 copy; nothing was chosen on them. Everything else is as in ``gate_calibration.py``: unit the document,
bounds at the population's own values, alpha = 0.025, fixed seed. "the other copy": what ``kl_ref_cand<=1.1x baseline`` says of
the second copy, which lies ``times_the_baseline`` times as far.
"""

from __future__ import annotations

import ast
import json
import tempfile
from pathlib import Path

from _table import write
from gate_calibration import SEED, calibrated, collect

from harness.comparisons.distributions.documents import DocumentSums, ratio
from harness.comparisons.distributions.metrics import METRICS
from harness.config import Places
from harness.targets.demo_model import build_demo_reference, demo_reference

HALF, LETTERS = 52, 600
#: Files of the standard library, the baseline, the other copy.
SETS = {"modules": ("*.py", "ggufq:Q4_0", "bnb:nf4"), "packages": ("[a-z]*/[a-z]*.py", "bnb:int8", "bnb:fp4")}
#: Packages that not every Python has.
_OTHERS = ("test", "idlelib", "lib2to3", "site-packages", "ensurepip", "turtledemo", "tkinter", "__pycache__")


def description(module: ast.Module, *, within: bool) -> str:
    """What a module says of itself; ``within``: or the longest of what it, its classes and functions say."""
    told = (ast.AsyncFunctionDef, ast.FunctionDef, ast.ClassDef, ast.Module)
    nodes = ast.walk(module) if within else [module]
    return max((ast.get_docstring(node) or "" for node in nodes if isinstance(node, told)), key=len)


def standard_library(folder: Path, pattern: str) -> Path:
    """A suite of what every Python brings along: the beginnings of modules' descriptions, and stretches of other modules."""
    prose: list[str] = []
    code: list[str] = []
    library = Path(ast.__file__).parent
    for file in sorted(library.glob(pattern)):
        if file.parent.name in _OTHERS:
            continue
        text = file.read_text(encoding="utf-8", errors="replace")
        about = description(ast.parse(text), within=file.parent.parent == library)
        if len(about) >= LETTERS // 2 and len(prose) < HALF and about[:LETTERS] not in prose:
            prose.append(about[:LETTERS])
        elif len(text) > 4 * LETTERS and len(code) < HALF and (part := text[len(text) // 2 :][:LETTERS]) not in code:
            code.append(part)
    assert len(prose) == len(code) == HALF
    folder.mkdir()
    (folder / "suite.yaml").write_text(
        "name: standard-library\nversion: 1\ntitle: Standard library\nlicence: PSF-2.0\npurpose: calibration\n"
        "shows: [gates]\ncannot_show: [anything else]\nskip_tokens: 8\nprofiles: {full: {band_documents: 36}}\n",
        encoding="utf-8",
    )
    lines = [
        json.dumps({"id": f"{domain}-{number}", "domain": domain, "text": text})
        for domain, documents in (("en", prose), ("code", code)) for number, text in enumerate(documents)
    ]  # fmt: skip
    (folder / "items.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def main() -> None:
    cache = Places.default().cache
    for _ in build_demo_reference(cache, None):
        pass
    reference = demo_reference(cache)
    rows, facts = [], {}
    for name, (pattern, first, second) in SETS.items():
        with tempfile.TemporaryDirectory() as scratch:
            suite = standard_library(Path(scratch) / "suite", pattern)
            copies = [f"{first}:{reference}", f"{second}:{reference}"]
            tables = collect(reference, copies, Path(scratch) / "results", wide=True, suite=str(suite))
        base, other = tables[first], tables[second]
        facts[name] = round(ratio(METRICS["kl_ref_cand"], DocumentSums.of(other), DocumentSums.of(base)).value, 4)
        rows += [{"set": name} | row for row in calibrated(tables, base, other, "the other copy")]
    write("gate_held_out", rows, {"alpha": 0.025, "times_the_baseline": facts, "seed": SEED})


if __name__ == "__main__":
    main()

"""The calibration of gates on documents and copies that nothing about them was chosen on.

    make bench-gates-held-out

Population: 104 documents of Python's standard library, half of them descriptions of modules and half code, with the token rows
of the demo model's Q4_0 copy (the baseline) and of its nf4 copy. Everything else is as in ``gate_calibration.py``, which the
factor of gates was chosen with: unit the document, bounds at the population's own values, alpha = 0.025, fixed seed. "the other
copy": what ``kl_ref_cand<=1.1x baseline`` says of the second copy, which lies ``times_the_baseline`` times as far.
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


def standard_library(folder: Path) -> Path:
    """A suite of what every Python brings along: the beginnings of modules' descriptions, and stretches of other modules."""
    prose: list[str] = []
    code: list[str] = []
    for file in sorted(Path(ast.__file__).parent.glob("*.py")):
        text = file.read_text(encoding="utf-8", errors="replace")
        about = ast.get_docstring(ast.parse(text)) or ""
        if len(about) >= LETTERS // 2 and len(prose) < HALF:
            prose.append(about[:LETTERS])
        elif len(text) > 4 * LETTERS and len(code) < HALF:
            code.append(text[len(text) // 2 :][:LETTERS])
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
    with tempfile.TemporaryDirectory() as scratch:
        suite = standard_library(Path(scratch) / "suite")
        copies = [f"ggufq:Q4_0:{reference}", f"bnb:nf4:{reference}"]
        tables = collect(reference, copies, Path(scratch) / "results", wide=True, suite=str(suite))
    base, other = tables["ggufq:Q4_0"], tables["bnb:nf4"]
    times = ratio(METRICS["kl_ref_cand"], DocumentSums.of(other), DocumentSums.of(base)).value
    rows = calibrated(tables, base, other, "the other copy")
    write("gate_held_out", rows, {"alpha": 0.025, "times_the_baseline": round(times, 4), "seed": SEED})


if __name__ == "__main__":
    main()

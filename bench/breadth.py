"""The main verb on tiny checkpoints of 120 model families: what is refused, and which verdicts are right.

    make bench-breadth                       # all of them; "python bench/breadth.py NAME ..." measures some again

Population: the families of ``tests/data/families.json``, random weights, as the library saves them, in bf16. Per family one run
of the default command (honest band and ladder) with five candidates: a copy of the files, the same in bf16, 4 bits sold as bf16,
4 bits under their own name, and another seed's weights. Right is: no divergence at all; WITHIN; BEYOND quantization; WITHIN;
BEYOND other-model. The unit is the family; no error rate is claimed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from _table import RESULTS, write

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness.config import Places
from harness.errors import FidelityError
from harness.observations.events import Noticed, Stop
from harness.pipeline import Candidate, Request, compare
from harness.reports.scorecard import Scorecard
from harness.targets.spec import Runtime
from tests.support.families import families, make_family
from tests.support.toy import make_suite

RIGHT = (
    ("itself", "WITHIN", ""), ("bf16", "WITHIN", ""), ("int4 as bf16", "BEYOND", "quantization"), ("int4", "WITHIN", ""),
    ("other seed", "BEYOND", "other-model"),
)  # fmt: skip

EMPTY = {
    "family": "",
    **dict.fromkeys((what for what, _, _ in RIGHT), ""),
    "right": 0,
    "refused": "",
    "left out": "",
    "seconds": 0.0,
}


def run(name: str, scratch: Path) -> tuple[Scorecard, list[str]]:
    """One family's run; returns its card and what was left out."""
    reference = make_family(scratch / name, name)
    copy = shutil.copytree(reference, scratch / f"{name}-copy")
    other = make_family(scratch / f"{name}-other", name, seed=1)
    candidates = (
        Candidate(str(copy)), Candidate(f"dtype:bf16:{reference}"), Candidate(f"rtn:4g32:{reference}", "bf16"),
        Candidate(f"rtn:4g32:{reference}"), Candidate(str(other)),
    )  # fmt: skip
    request = Request(str(reference), candidates, suite=str(scratch / "suite"), runtime=Runtime(threads=1), fresh=True)
    steps = compare(request, Places(scratch / "results", scratch / "cache"), Stop())
    notes = []
    while True:
        try:
            event = next(steps)
        except StopIteration as end:
            return end.value, notes
        if isinstance(event, Noticed) and "left out" in event.text:
            notes.append(event.text)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", help="families; all of them by default")
    names = parser.parse_args().names or list(families())
    rows = {} if len(names) == len(families()) else measured_before()
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            scratch, started = Path(folder), time.monotonic()
            make_suite(scratch / "suite", documents=20, chats=1, asks=1, length=100, band=22)
            row: dict[str, object] = {"family": name}
            try:
                card, notes = run(name, scratch)
            except FidelityError as error:
                row |= {"right": 0, "refused": error.problem}
            except ImportError as error:  # the library itself builds no such model here
                row |= {"right": 0, "refused": f"not built: {str(error).strip().splitlines()[0]}"}
            else:
                right = 0
                for (what, outcome, cause), found in zip(RIGHT, card.candidates, strict=True):
                    verdict = found.verdict
                    told = f"{verdict.outcome} {verdict.cause or ''}".strip()
                    good = (str(verdict.outcome), str(verdict.cause or "")) == (outcome, cause)
                    good = good and (what != "itself" or found.evidence.all_zero)
                    right += good
                    row[what] = told if good else f"WRONG {told}"
                row |= {"right": right, "refused": "", "left out": "; ".join(notes)}
            row["seconds"] = round(time.monotonic() - started, 1)
        rows[name] = row
        print(row, flush=True)
        found = [EMPTY | rows[one] for one in families() if one in rows]
        whole = sum(one["right"] == len(RIGHT) for one in found)
        refused = sum(bool(one["refused"]) for one in found)
        write("breadth", found, {"families": len(found), "right_in_all_five": whole, "refused_by_name": refused})


def measured_before() -> dict[str, dict[str, object]]:
    """Rows of the last result, which named families replace."""
    path = RESULTS / "breadth.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.is_file() else []
    return {row["family"]: row for row in rows}


if __name__ == "__main__":
    main()

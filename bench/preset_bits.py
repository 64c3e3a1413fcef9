"""Where common builds of a size stand against the presets, in the bits that they behave like.

    make bench-presets

Population: the demo model and copies of it in common formats, on the quick core suite (44 documents, the unit). The reading is
the point on the ladder of round to nearest where a build's KL lies, with its 95 % interval, and each preset's answer. No error
rate is claimed here; ``gate_calibration.py`` measures those.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from _table import write

from harness.config import Places
from harness.observations.events import Stop
from harness.observations.journal import Journal
from harness.pipeline import Candidate, Request, compare
from harness.reports.build import build_scorecard
from harness.targets.demo_model import build_demo_reference, demo_reference
from harness.targets.spec import Runtime
from harness.verdicts.gates.policy import PRESETS, policy_of

BUILDS = ("dtype:bf16", "bnb:int8", "fp8", "ggufq:Q8_0", "rtn:8g64", "rtn:6g64", "ggufq:Q5_0", "bnb:nf4", "rtn:4g64",
          "ggufq:Q4_0", "bnb:fp4", "rtn:3g64")  # fmt: skip


def run(results: Path) -> str:
    """Score every build once; gates alone judge them, so that no claim is rebuilt."""
    cache = Places.default().cache
    for _ in build_demo_reference(cache, None):
        pass
    reference = str(demo_reference(cache))
    candidates = tuple(Candidate(f"{build}:{reference}", "bf16") for build in BUILDS)
    request = Request(reference=reference, candidates=candidates, profile="quick", runtime=Runtime(threads=1),
                      rebuild=False)  # fmt: skip
    steps = compare(request, Places(results, cache), Stop())
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return str(end.value.run)


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        results = Path(scratch)
        journal = Journal.open(results, run(results))
        cards = {name: build_scorecard(journal, policy_of([name])).candidates for name in PRESETS}
        journal.close()
    rows: list[dict[str, object]] = []
    for place, build in enumerate(BUILDS):
        evidence = cards["4bit"][place].evidence
        kl, ladder = evidence.check("kl_ref_cand"), evidence.ladder
        row: dict[str, object] = {"build": build, "kl": float(f"{kl.value:.3g}") if kl else None}
        row |= {"bits": round(ladder.bits, 2), "low": round(ladder.low, 2), "high": round(ladder.high, 2)} if ladder else {
            "bits": None, "low": None, "high": None}  # fmt: skip
        for name, found in cards.items():
            reading = found[place].evidence.policy
            row[name] = reading.status if reading else "not read"
        rows.append(row)
    write("preset_bits", rows, {"presets": {name: ", ".join(gates) for name, gates in PRESETS.items()}})


if __name__ == "__main__":
    main()

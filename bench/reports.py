"""The page in a browser, and what judging a stored run again costs.

    make bench-reports [RUN=results/20261127T063103Z-40d75c]

Population: the demo model against its nf4 copy and an honest fp16 copy on the quick core suite, and RUN, a stored run with more
candidates, whose page is then the one opened. The page: bytes, requests, complaints, violations of WCAG 2.2 A and AA that axe
finds with every part opened (two themes, two widths), and seconds from a keystroke to the next painted frame with 20,000 rows.
Judging: CPU seconds of a whole `fidelity gate` process with its bytecode cached, the least and the median of nine, beside those
of a process that imports numpy, pydantic and click alone; and whether torch was imported.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from _table import write

from harness.config import Places
from harness.observations.events import Stop
from harness.observations.journal import Journal
from harness.pipeline import Candidate, Request, compare
from harness.reports.build import build_scorecard
from harness.reports.pages.comparison import render_html
from harness.reports.tokens import Tokens, tokens_of
from harness.targets.demo_model import build_demo_reference, demo_reference
from harness.targets.spec import Runtime

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.support.browser import open_browser
from tests.support.reported import many

ROWS, TIMES = 20_000, 9
_KEYSTROKE = """async (act) => {
  const begun = performance.now();
  const box = document.getElementById("token-search"), sort = document.querySelector("button[data-order=pref]");
  if (act === "search") { box.value = "e"; box.dispatchEvent(new Event("input")); }
  if (act === "filter") document.getElementById("token-flips").click();
  if (act === "sort") sort.click();
  if (act === "scroll") document.getElementById("token-view").scrollTop += 100000;
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return (performance.now() - begun) / 1000;
}"""


def made(results: Path) -> Path:
    """A run of the demo model."""
    cache = Places.default().cache
    for _ in build_demo_reference(cache, None):
        pass
    reference = str(demo_reference(cache))
    request = Request(
        reference=reference, candidates=(Candidate(f"bnb:nf4:{reference}", "bf16"), Candidate(f"dtype:fp16:{reference}", "")),
        profile="quick", runtime=Runtime(threads=1), command="fidelity compare MODEL bnb:nf4:MODEL dtype:fp16:MODEL",
    )  # fmt: skip
    steps = compare(request, Places(results, cache), Stop())
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return results / end.value.run


def candidates(run: Path) -> int:
    """How many claims a run judges."""
    journal = Journal.open(run.parent, str(run))
    try:
        return len(journal.plan.claims)
    finally:
        journal.close()


def in_browser(run: Path, scratch: Path) -> list[dict[str, object]]:
    """What Chromium and axe say of the page."""
    journal = Journal.open(run.parent, str(run))
    card, tokens = build_scorecard(journal), tokens_of(journal)
    journal.close()
    rows: list[dict[str, object]] = []
    full = many(Tokens(tokens.sheets[:1], tokens.pieces), ROWS)
    with open_browser() as browser:
        for name, shown in (("the run's own tokens", tokens), (f"{ROWS:,} tokens", full)):
            page = render_html(card, shown)
            row: dict[str, object] = {"what": f"page with {name}", "bytes": len(page.encode())}
            barriers: list[str] = []
            asked = complained = 0
            for theme in ("light", "dark"):
                for width in (1280, 400):
                    opened = browser.open(page, scratch, theme=theme, width=width)
                    opened.tab.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
                    asked, complained = asked + len(opened.requests), complained + len(opened.complaints)
                    barriers += opened.barriers()
            tab = browser.open(page, scratch).tab
            slowest = {
                act: max(tab.evaluate(_KEYSTROKE, act) for _ in range(TIMES)) for act in ("search", "sort", "scroll")
            }
            slowest["filter"] = max(tab.evaluate(_KEYSTROKE, "filter") for _ in range(2))
            rows.append(
                row | {"requests": asked, "complaints": complained, "violations": len(barriers)}
                | {f"{act}_seconds": round(seconds, 3) for act, seconds in slowest.items()}
            )  # fmt: skip
    return rows


def judged_again(run: Path) -> dict[str, object]:
    """CPU seconds of a process that judges a stored run by another policy, start of Python included."""
    code = (
        "import resource, sys; from harness.cli.main import cli;"
        f"cli.main(['gate', {run.name!r}, '--policy', '4bit', '--results', {str(run.parent)!r}], standalone_mode=False);"
        "used = resource.getrusage(resource.RUSAGE_SELF);"
        "print(used.ru_utime + used.ru_stime, any('torch' == name for name in sys.modules), file=sys.stderr)"
    )
    bare = "import sys, resource, numpy, pydantic, click;" + code[code.index("used =") :]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    spent: dict[str, list[float]] = {"": [], "imports_alone_": []}
    torch = False
    for turn in range(TIMES + 1):
        for name, text in (("", code), ("imports_alone_", bare)):
            done = subprocess.run(
                [sys.executable, "-c", text], capture_output=True, text=True, check=True, env=environment
            )
            seconds, imported = done.stderr.split()[-2:]
            if turn:  # the first writes the bytecode
                spent[name].append(float(seconds))
            torch = torch or imported == "True"
    return {
        f"{name}cpu_seconds_{what}": round(of(seconds), 3)
        for name, seconds in spent.items()
        for what, of in (("least", min), ("median", statistics.median))
    } | {"torch_imported": torch}


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        runs = [made(folder / "results"), *(Path(given).resolve() for given in sys.argv[1:2])]
        judged = {f"judged again, {candidates(run)} candidates": judged_again(run) for run in runs}
        write("reports", in_browser(runs[-1], folder), judged)


if __name__ == "__main__":
    main()

"""Faults of hosts that serve tools: are they found, named, and is nobody accused who serves the same?

    make bench-tools

A real llama.cpp server with the demo model and a template of our own that shows it how to call answers all shipped cases. Hosts
stand in front of it: honest ones, and one for each fault (``tests/support/tool_hosts.py``). A host with the 4-bit file and one
with a sibling's weights answer for themselves. Real answers are kept in the cache by what was asked.

- *rates*: verdict, cause and findings of every host, by the whole command's own path: asked in turn, stored, judged.
- *null*: 1,000 times reference, control and candidate draw from the same chances per case, which are those with which the real
  hosts differ, at alpha 0.05; how often anybody is accused.

Null: the candidate is no worse than the reference, case by case. Unit: the case together with its stream.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from _table import write
from scipy.stats import binomtest

from harness.comparisons.tasks import compare_tasks
from harness.comparisons.tools import tool_facts
from harness.config import Places
from harness.observations.events import Stop
from harness.suites.tool_cases import shipped_cases
from harness.targets.demo_model import build_demo_gguf, demo_gguf
from harness.targets.endpoint.local import local_host
from harness.tasking.requests import TOOL_MARGIN, ToolRequest
from harness.tasking.run import run_tools
from harness.tasking.tool_suite import ToolSuite
from harness.verdicts.tools import judge_tools
from tests.support.call_templates import SHOWING
from tests.support.tool_hosts import FAULTS, Memory, serving
from tests.verdicts.test_tools import drawn

TOKENS, DRAWS, ALPHA = 96, 1000, 0.05


class Kept:
    """Real answers of one server, kept in the cache from one try to the next."""

    def __init__(self, name: str, cache: Path) -> None:
        self._path = cache / "tool-replies" / f"{name}.json"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        stored = json.loads(self._path.read_text()) if self._path.exists() else {}
        self.known = {key: (status, {}, body.encode()) for key, (status, body) in stored.items()}

    def store(self) -> None:
        plain = {key: (status, body.decode()) for key, (status, _, body) in self.known.items()}
        self._path.write_text(json.dumps(plain))


def judged(reference: str, candidate: str, results: Path):
    """The card of one candidate."""
    walk = run_tools(ToolRequest(reference=reference, candidates=(candidate,), max_tokens=TOKENS, fresh=True),
                     Places(results, results), Stop())  # fmt: skip
    while True:
        try:
            next(walk)
        except StopIteration as end:
            return end.value[0]


def row(name: str, card) -> dict[str, object]:
    one = card.candidates[0]
    case = one.facts.pooled
    return {"host": name, "verdict": str(one.verdict.outcome), "cause": str(one.verdict.cause or ""),
            "findings": " ".join(sorted({found.code for found in one.findings})), "cases": case.items,
            "lost": case.right_to_wrong, "won": case.wrong_to_right, "f1": round(one.tools.trigger.f1, 3)}  # fmt: skip


def null() -> tuple[int, int]:
    """How often an honest host is accused, and how often it is cleared."""
    cases = shipped_cases()
    suite, rng = ToolSuite(cases), np.random.default_rng(20261126)
    heads, checks = suite.heads(), suite.self_check()
    accused = cleared = 0
    for _ in range(DRAWS):
        chances = rng.beta(0.4, 1.6, len(cases))
        scores = [suite.scored(drawn(rng, chances)) for _ in range(3)]
        facts = compare_tasks(heads, scores[0], scores[1], scores[2], checks, ALPHA, 0)
        outcome = judge_tools(facts, tool_facts(*scores), TOOL_MARGIN).outcome
        accused, cleared = accused + (outcome == "BEYOND"), cleared + (outcome == "WITHIN")
    return accused, cleared


def main() -> None:
    places = Places.default()
    for _ in build_demo_gguf(places.cache, None):
        pass
    servers = {"": demo_gguf(places.cache)} | {
        name: path
        for name, path in (
            ("the same in 4 bits", places.cache / "hosts" / "SmolLM2-135M-Instruct.Q4_0.gguf"),
            ("a sibling's weights", places.cache / "hosts" / "sibling.F16.gguf"),
        )
        if path.exists()
    }
    rows = []
    with tempfile.TemporaryDirectory() as folder, local_host(servers.pop(""), SHOWING) as address:
        kept = Kept("reference", places.cache)
        memory = Memory(address, kept.known)
        with serving(memory) as honest:
            for name, fault in {"honest": None, **FAULTS}.items():
                with serving(memory, fault) as candidate:
                    rows.append(row(name, judged(honest.address, candidate.address, Path(folder))))
                kept.store()
                print(rows[-1], flush=True)
            for name, path in servers.items():
                other = Kept(path.stem, places.cache)
                with local_host(path, SHOWING) as own, serving(Memory(own, other.known)) as candidate:
                    rows.append(row(name, judged(honest.address, candidate.address, Path(folder))))
                other.store()
                print(rows[-1], flush=True)
    accused, cleared = null()
    facts = {
        "null_draws": DRAWS, "null_alpha": ALPHA, "null_accused": accused, "null_cleared": cleared,
        "p_of_more": round(binomtest(accused, DRAWS, ALPHA, alternative="greater").pvalue, 3),
        "cases": len(shipped_cases()), "tokens": TOKENS,
    }  # fmt: skip
    write("tool_faults", rows, facts)


if __name__ == "__main__":
    main()

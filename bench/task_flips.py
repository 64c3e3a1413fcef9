"""Flips and churn on real answers: false alarms of honest arithmetic, a planted loss, and a 4-bit copy. bf16 throughout.

    make bench-flips

Three targets answer the same items: the reference in bf16, the same in another batch shape (openings computed anew for every
choice, replies written in fives instead of eights), and its nf4 copy.

- *null*: 1,000 times the labels "reference" and "control" are swapped at random in whole groups of items, which preserves
  everything but which side is which; how often the pooled test and the tests per task (Holm) accuse at alpha 0.05.
- *planted*: 1,000 draws of 1,000 items (with replacement, of the control's pairs, so that honest churn is what it is) in which
  2 of 100 right answers are made wrong; how often that is found at alpha 0.05, and what the planner says.
- *churn*: answers of the nf4 copy that differ beside those of the honest control, exact one-sided McNemar; and the harm test
  with its smallest detectable loss.

Null: both sides answer alike, flips go either way. Unit: the group of items that share a text.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from _table import write
from scipy.stats import binomtest

from harness.comparisons.tasks import compare_tasks
from harness.config import Places
from harness.evidence.multiplicity import holm
from harness.evidence.paired import chance_to_find, paired_loss
from harness.observations.lm_eval import load_tasks
from harness.suites.requests import Scored, Writing, Written
from harness.targets.checkpoint.target import Workers
from harness.targets.demo_model import build_demo_reference, demo_reference
from harness.targets.opening import open_target
from harness.targets.spec import Runtime, parse_spec
from harness.tasking.planning import steps

TASKS = ["fidelity_choices", "fidelity_reading", "fidelity_arithmetic_easy", "fidelity_arithmetic_medium",
         "fidelity_instructions", "fidelity_schema"]  # fmt: skip
LIMIT, DRAWS, ALPHA, PLANTED, ITEMS = 120, 1000, 0.05, 0.02, 1000


def answers(name: str, spec: str, rows: int, *, shared: bool, tasks, places) -> dict:
    """Answers of one target, kept in the cache from one try to the next."""
    kept = places.cache / "flips" / f"{name}.json"
    asked = tasks.asked()
    kinds = {one.key: Written if isinstance(one, Writing) else Scored for one in asked}
    found = json.loads(kept.read_text()) if kept.exists() else {}
    kept.parent.mkdir(parents=True, exist_ok=True)
    with Workers() as workers:
        target = open_target(parse_spec(spec, Runtime(threads=1, dtype="bf16")), workers, places.cache)
        for step in steps(asked, rows):
            if all(one.key in found for one in step):
                continue
            for one, answer in zip(step, target.answer(step, rows, shared=shared), strict=True):
                found[one.key] = answer.model_dump(mode="json")
            kept.write_text(json.dumps(found))
            print(name, len(found), "of", len(asked), flush=True)
    return {key: kinds[key].model_validate(value) for key, value in found.items() if key in kinds}


def arrays(ours, theirs):
    """Per task: scores of both sides and labels of groups."""
    found = {}
    for task, scores in ours.items():
        metric = next(iter(scores[0].metrics))
        other = {one.item: one.metrics[metric] for one in theirs[task]}
        labels = {group: n for n, group in enumerate(dict.fromkeys(one.group for one in scores))}
        found[task] = (
            np.array([one.metrics[metric] for one in scores]), np.array([other[one.item] for one in scores]),
            np.array([labels[one.group] for one in scores]),
        )  # fmt: skip
    return found


def null(pairs) -> tuple[int, int]:
    """False alarms of the pooled test and of the tests per task, of ``DRAWS`` relabellings."""
    rng = np.random.default_rng(1)
    pooled = single = 0
    for _ in range(DRAWS):
        drawn, before, after, groups, base = [], [], [], [], 0
        for first, second, labels in pairs.values():
            swap = rng.random(labels.max() + 1)[labels] < 0.5
            a, b = np.where(swap, second, first), np.where(swap, first, second)
            drawn.append(paired_loss(a, b, labels).worse)
            before.append(a), after.append(b), groups.append(labels + base)
            base += labels.max() + 1
        pooled += bool(paired_loss(*map(np.concatenate, (before, after, groups))).worse <= ALPHA)
        single += bool(holm(drawn).min() <= ALPHA)
    return pooled, single


def planted(pairs) -> tuple[int, float]:
    """How often a loss of ``PLANTED`` is found on ``ITEMS`` items, and the planner's power."""
    rng = np.random.default_rng(2)
    first, second = (np.concatenate([pair[side] for pair in pairs.values()]) for side in (0, 1))
    right = float(((first == 1) & (second == 1)).mean())
    lost, won = float(((first == 1) & (second == 0)).mean()), float(((first == 0) & (second == 1)).mean())
    found = 0
    for _ in range(DRAWS):
        place = rng.integers(0, len(first), ITEMS)
        before, after = first[place], second[place].copy()
        both = (before == 1) & (after == 1)
        after[both & (rng.random(ITEMS) < PLANTED / right)] = 0
        found += bool(paired_loss(before, after, np.arange(ITEMS)).worse <= ALPHA)
    return found, chance_to_find(ITEMS, lost + PLANTED, won, ALPHA)


def main() -> None:
    places = Places.default()
    for _ in build_demo_reference(places.cache, None):
        pass
    base = demo_reference(places.cache)
    tasks = load_tasks(TASKS, chat=True, limit=LIMIT)
    settings = {"tasks": tasks, "places": places}
    scores = {
        "reference": tasks.scored(answers("reference", str(base), 8, shared=True, **settings)),
        "control": tasks.scored(answers("control", str(base), 5, shared=False, **settings)),
        "nf4": tasks.scored(answers("nf4", f"bnb:nf4:{base}", 8, shared=True, **settings)),
    }
    pairs = arrays(scores["reference"], scores["control"])
    pooled, single = null(pairs)
    found, power = planted(pairs)
    items = sum(len(pair[0]) for pair in pairs.values())
    rows: list[dict[str, object]] = [
        {"what": "null, pooled", "of": DRAWS, "found": pooled, "stated": ALPHA,
         "p_of_more": round(binomtest(pooled, DRAWS, ALPHA, alternative="greater").pvalue, 3)},
        {"what": "null, per task with Holm", "of": DRAWS, "found": single, "stated": ALPHA,
         "p_of_more": round(binomtest(single, DRAWS, ALPHA, alternative="greater").pvalue, 3)},
        {"what": f"planted loss of {100 * PLANTED:g} points at {ITEMS} items", "of": DRAWS, "found": found,
         "stated": round(power, 3), "p_of_more": None},
    ]  # fmt: skip
    facts = compare_tasks(
        tasks.heads(), scores["reference"], scores["nf4"], scores["control"], tasks.self_check(), ALPHA, 0
    )
    rows += [
        {"what": f"answers of nf4 that differ, {one.task} (stated: the control's)", "of": one.items, "found": one.churned,
         "stated": one.churned_control, "p_of_more": float(f"{one.churn_p:.2g}")}
        for one in (*facts.tasks, facts.pooled)
    ]  # fmt: skip
    harm = {
        one.task: f"{100 * one.loss:+.1f} points, p = {one.worse:.2g}, smallest that would be found {100 * one.smallest:.1f}"
        for one in (*facts.tasks, facts.pooled)
    }
    write("task_flips", rows, {"items": items, "alpha": ALPHA, "tasks": len(TASKS), "loss of nf4": harm, "threads": 1})


if __name__ == "__main__":
    main()

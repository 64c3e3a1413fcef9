"""A real llama.cpp server, sound and with its template replaced: what introspection and counts make of it.

    make bench-live

The server serves the demo model's own file on one thread. The sound one must have no finding but documented
deviations; the replaced templates must be caught, and named where the library holds what was done to them. Counted:
requests, tokens of output, and the seconds of the whole command's work (all of it: rendering hypotheses included).
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from _table import write

from harness.config import Places
from harness.prompting import compare_endpoint
from harness.targets.demo_model import build_demo_gguf, build_demo_reference, demo_gguf, demo_reference
from harness.targets.endpoint.address import parse_address
from harness.targets.endpoint.client import Client
from harness.verdicts.prompt_counts import CountsIn

sys.path.insert(0, str(Path(__file__).parent.parent))
from harness.targets.endpoint.local import local_host

HEADER = "{% if add_generation_prompt %}"
DEFAULT = "{% if loop.first and messages[0]['role'] != 'system' %}"
CONTENT = "message['content'] +"
CLOSED = "'<|im_end|>' + '\n'}}"

#: What is done to the template, and the fault that it amounts to (empty: none of the library's).
REPLACED = {
    "sound": ("", "", ""),
    "no header of the reply": (HEADER, "{% if false %}", "no-generation-prompt"),
    "header of the reply always twice": (
        "{{ '<|im_start|>assistant\n' }}",
        "{{ '<|im_start|>assistant\n<|im_start|>assistant\n' }}",
        "double-generation-prompt",
    ),
    "no default system message": (DEFAULT, "{% if false %}", "chatml-fallback"),
    "contents stripped": (CONTENT, "(message['content'] | trim) +", "contents-stripped"),
    "assistant turns not closed": (
        CLOSED,
        "('' if message['role'] == 'assistant' else '<|im_end|>') + '\n'}}",
        "turn-end-missing",
    ),
    "another default system message": ("a helpful AI assistant named SmolLM, trained by Hugging Face", "a pirate", ""),
    "another model's turns": ("<|im_start|>", "<|start_header_id|>", ""),
}


def main() -> None:
    places = Places.default()
    for line in (*build_demo_reference(places.cache, None), *build_demo_gguf(places.cache, None)):
        print(line)
    reference = demo_reference(places.cache)
    template = (reference / "chat_template.jinja").read_text()
    rows = []
    for name, (old, new, fault) in REPLACED.items():
        assert old in template, name
        with local_host(demo_gguf(places.cache), template.replace(old, new) if old else "") as address:
            for access in ("introspection", "counts"):
                rows.append({"template": name, "access": access} | measured(address, access, str(reference), fault))
                print(rows[-1])
    sound = [row for row in rows if row["template"] == "sound"]
    faulty = [row for row in rows if row["template"] != "sound"]
    known = [row for row in faulty if row["planted"]]
    counted = [row for row in rows if row["access"] == "counts"]
    facts = {
        "false_findings": sum(row["undocumented_findings"] for row in sound),
        "replaced_and_caught": f"{sum(row['caught'] for row in faulty)} of {len(faulty)}",
        "known_faults_named": f"{sum(row['named'] for row in known)} of {len(known)}",
        "requests_by_counts_at_most": max(row["requests"] for row in counted),
        "seconds_by_counts_at_most": max(row["seconds"] for row in counted),
    }
    write("live_prompts", rows, facts)
    print(facts)


def measured(address: str, access, reference: str, fault: str) -> dict[str, object]:
    """One comparison, from the first request to the verdict."""
    started = time.monotonic()
    with Client(parse_address(address)) as client:
        card = compare_endpoint(reference, client, Places.default().cache, access)
        sent = client.sent
    evidence = card.evidence
    if isinstance(evidence, CountsIn):
        names = [one.faults for one in evidence.explanations]
    else:
        names = list(evidence.diagnosis.named) if evidence.diagnosis else []
    undocumented = [finding.code for finding in card.findings if finding.code != "TMPL115"]
    return {
        "planted": fault,
        "verdict": str(card.verdict.outcome),
        "caught": bool(undocumented),
        "named": bool(fault) and (fault,) in names and len(names) <= 3,
        "names": ["+".join(name) for name in names],
        "undocumented_findings": len(undocumented),
        "requests": sent,
        "seconds": round(time.monotonic() - started, 1),
    }


if __name__ == "__main__":
    main()

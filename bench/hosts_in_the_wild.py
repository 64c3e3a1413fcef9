"""Hosts of models that think, in every form in which reasoning comes back: the verdict, and requests until it stands.

    make bench-hosts-in-the-wild
    python bench/hosts_in_the_wild.py closes inline details      # one model, some forms, by ids; other rows are kept

Real llama.cpp servers of the demo's model with a template that opens a thought (``opens``), and with one that also shows how it
ends (``closes``: five exchanges stand in front). A gateway returns what the server writes as a host of each form does. Builds:
the file that the reference was made from, and its matrices in Q4_0. ``at``: requests until the verdict on a 4-bit host stands, or
0. ``closed``: share of replies in which the reasoning ended. Rows of logs are the same exchanges, read from a file.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _table import RESULTS, write

from harness.auditing import AuditRequest, audit_endpoint, audit_replies
from harness.auditing.logged import read_logged
from harness.config import Places
from harness.observations.asked import Asked as Log
from harness.targets.demo_model import build_demo_gguf, build_demo_reference, demo_gguf, demo_reference
from harness.targets.endpoint.address import parse_address
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.local import local_host
from harness.targets.requantized import requantized
from harness.targets.sampler import Sampler
from harness.targets.spec import Runtime
from tests.support.hosts import host
from tests.support.steps import ended
from tests.support.thinking import thinking_host, thinking_reference, thinking_template

FORMS = ("inline", "reasoning", "reasoning_content", "thinking", "details", "append_think", "hidden")
MODELS = {"opens": False, "closes": True}
REQUESTS, BANK = 4, ("ggufq:Q4_0", "prompt:chatml-fallback")


def audited(reference: Path, base: str, form: str, results: Path, *, ids: bool, stream: bool) -> dict[str, object]:
    """One audit of a host of a form."""
    request = AuditRequest(
        str(reference), bank=BANK, controls=False, checks="none", nonce="wild", requests=REQUESTS, draws=100,
        stream=stream, runtime=Runtime(),
    )  # fmt: skip
    with host(thinking_host(base, form, ids=ids)) as running, Client(parse_address(running.address)) as client:
        card, folder = ended(audit_endpoint(request, client, Places(results, Places.default().cache)))
    return told(card, folder)


def told(card: object, folder: Path) -> dict[str, object]:
    """What a row says of a card."""
    with Log(folder / "asked.sqlite") as log:
        replies = [reply for reply in log.replies().values() if not reply.lost]
    closed = sum((bool(reply.text) and bool(reply.thought)) or "</think>" in reply.text for reply in replies)
    facts = card.facts
    return {
        "outcome": card.axes[0].outcome, "cause": card.axes[0].cause or "",
        "at": facts.weights.crossed_at if facts else 0, "log_e": round(facts.weights.log_e, 2) if facts else None,
        "lost": facts.lost if facts else None,
        "q4_ruled_out": bool(facts and facts.builds and facts.builds[0].excluded),
        "closed": round(closed / max(len(replies), 1), 2),
    }  # fmt: skip


def logged(reference: Path, folder: Path, results: Path) -> dict[str, object]:
    """The exchanges of a stored audit as a log, judged from the file."""
    path = results / "log.jsonl"
    with Log(folder / "asked.sqlite") as log, path.open("w", encoding="utf-8") as out:
        for number in range(REQUESTS):
            for body, answer in log.answers_of(f"reply-{number:04d}")[-1:]:
                out.write(json.dumps({"request": body, "response": answer.fields()}) + "\n")
    request = AuditRequest(str(reference), bank=BANK, controls=False, runtime=Runtime(), fresh=True)
    made = audit_replies(request, read_logged(path, Sampler()), path.name, Places(results, Places.default().cache))
    card, _ = ended(made)
    facts = card.facts
    return {
        "outcome": card.axes[0].outcome, "cause": card.axes[0].cause or "",
        "at": facts.weights.crossed_at if facts else 0, "log_e": round(facts.weights.log_e, 2) if facts else None,
        "lost": facts.lost if facts else None, "q4_ruled_out": bool(facts and facts.builds and facts.builds[0].excluded),
        "closed": None,
    }  # fmt: skip


def main() -> None:
    cache = Places.default().cache
    for step in (build_demo_reference(cache, None), build_demo_gguf(cache, None)):
        for line in step:
            print(line)
    four = requantized(demo_gguf(cache), "Q4_0", cache / "hosts")
    named = [name for name in sys.argv[1:] if name in MODELS]
    forms = [form for form in sys.argv[1:] if form in FORMS]
    stored = RESULTS / "hosts_in_the_wild.json"
    rows = (
        [row for row in json.loads(stored.read_text())["rows"] if named and row["model"] not in named]
        if stored.exists()
        else []
    )
    with tempfile.TemporaryDirectory() as made:
        for model, shows in MODELS.items():
            if named and model not in named:
                continue
            reference = thinking_reference(demo_reference(cache), Path(made) / model, shows=shows)
            template = thinking_template(demo_reference(cache), shows=shows)
            for build, file in (("sound", demo_gguf(cache)), ("Q4_0", four)):
                with local_host(file, template) as address:
                    base = address.removesuffix("/v1")
                    ways = [(form, True, False) for form in forms or FORMS] + [("reasoning", True, True)]
                    if not forms:  # each takes minutes: local replies say what a reply is charged
                        ways += [("inline", False, False), ("reasoning", False, False)]
                    for form, ids, stream in ways:
                        results = Path(made) / f"{model}-{build}-{form}-{ids}-{stream}"
                        results.mkdir()
                        found = audited(reference, base, form, results, ids=ids, stream=stream)
                        way = "stream" if stream else "whole"
                        rows.append({"model": model, "build": build, "form": form, "ids": ids, "way": way, **found})
                        print(rows[-1], flush=True)
                        if form == "details":
                            (folder,) = results.glob("*-audit-*")
                            found = logged(reference, folder, results)
                            rows.append(
                                {"model": model, "build": build, "form": form, "ids": ids, "way": "log", **found}
                            )
                            print(rows[-1], flush=True)
                write("hosts_in_the_wild", rows, {"requests": REQUESTS, "tokens": 64, "bank": list(BANK)})


if __name__ == "__main__":
    main()

"""Whole audits of live hosts, layer by layer as a user runs them: probe, trials, prompts, questions, controls, verdict.

    make bench-live-audits [HOSTS=honest,Q4_0] [AUDITS=3]

The hosts are those of ``audit_matrix``, served by llama.cpp on one thread; every audit has a nonce of its own and a bank of six.
A host's rows are kept when the others are run later; HOSTS=vllm takes the address of a running vLLM from VLLM (docs/servers.md).
requests and tokens: what the questions took; asked: all requests.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _sibling import sibling_checkpoint
from _table import RESULTS, write
from audit_matrix import ALPHA, BANK, CLIPPED
from audit_matrix import HOSTS as EXPECTED
from record_hosts import served

from harness.auditing import AuditRequest, audit_endpoint
from harness.cli.demo_hosts import routed
from harness.config import Places
from harness.targets.demo_model import build_demo_gguf, build_demo_reference, demo_reference
from harness.targets.endpoint.address import parse_address
from harness.targets.endpoint.client import Client
from harness.targets.spec import Runtime
from tests.support.dishonest import always, at_most, dishonest, lie

NAME = "live_audits"


@contextmanager
def live(host: str) -> Iterator[str]:
    """The address of a host; three of them are gateways before an honest one."""
    if host == "vllm":
        yield os.environ["VLLM"]
        return
    if host not in {"temperature-0.7", "clipped", "routed-25"}:
        with served(host) as address:
            yield address
        return
    with served("honest") as address:
        if host == "temperature-0.7":
            gateway = dishonest(address, always(temperature=0.7))
        elif host == "clipped":
            gateway = dishonest(address, at_most(CLIPPED), lie(finish_reason="stop"))
        else:
            with served("Q4_0") as cheap, routed(address, cheap) as both:
                yield both
            return
        with gateway as running:
            yield running.address


def audit(host: str, number: int) -> dict[str, object]:
    """One audit, told in a row."""
    places = Places(Places.default().cache / "hosts" / "audits", Places.default().cache)
    places.results.mkdir(parents=True, exist_ok=True)
    reference = demo_reference(places.cache)
    other = f"other:{sibling_checkpoint(reference, places.cache / 'hosts')}"
    request = AuditRequest(
        str(reference), bank=(*BANK, other) if host == "other-model" else BANK, alpha=ALPHA, nonce=f"live {number}",
        fresh=True, checks="quick", runtime=Runtime(threads=1),
    )  # fmt: skip
    started = time.monotonic()
    with live(host) as address, Client(parse_address(address)) as client:
        steps = audit_endpoint(request, client, places)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                card, _ = end.value
                break
    facts = card.facts
    layers = {name: f"{axis.outcome} {axis.cause or ''}".strip() for name, axis in card.named}
    return {
        "host": host, "audit": number, "verdict": str(card.outcome), "cause": str(card.cause or ""),
        "right": _right(host, str(card.outcome), str(card.cause or "")), "requests": facts.requests if facts else 0,
        "tokens": facts.tokens if facts else 0, "asked": card.spent.requests, "seconds": round(time.monotonic() - started),
        "layers": layers,
    }  # fmt: skip


def _right(host: str, outcome: str, cause: str) -> bool:
    """An honest host is not accused; another one is accused, and by a cause that is its own."""
    causes = EXPECTED[host][2] if host in EXPECTED else ()
    return outcome == "BEYOND" and cause in causes if causes else outcome != "BEYOND"


def main() -> None:
    places = Places.default()
    for line in (*build_demo_reference(places.cache, None), *build_demo_gguf(places.cache, None)):
        print(line)
    path = RESULTS / f"{NAME}.json"
    kept = json.loads(path.read_text())["rows"] if path.exists() else []
    wanted = os.environ.get("HOSTS", ",".join(EXPECTED)).split(",")
    for host in wanted:
        for number in range(int(os.environ.get("AUDITS", "3"))):
            if any((row["host"], row["audit"]) == (host, number) for row in kept):
                continue
            kept.append(audit(host, number))
            print(kept[-1], flush=True)
            write(NAME, kept, {"alpha": ALPHA, "bank": list(BANK), "checks": "quick"})


if __name__ == "__main__":
    main()

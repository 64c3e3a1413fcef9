"""Pools of live replies from real llama.cpp hosts, honest and not, from which audits are judged (``audit_matrix``).

    make bench-hosts [HOSTS=honest,Q4_0] [REQUESTS=60]

Every host serves the demo model on one thread and is asked the same questions in the same order, each once, 64 tokens at
temperature 1, one request at a time. A reply is on disk before the next question goes out; running the command again goes on
where it ended. Pools lie in the cache (``hosts/told/NAME.jsonl``), one reply with its log-probabilities per line.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _sibling import sibling_gguf

from harness.config import Places
from harness.prompts.questions import draw_questions
from harness.targets.demo_model import build_demo_gguf, build_demo_reference, demo_gguf, demo_reference
from harness.targets.endpoint.address import parse_address
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.local import local_host
from harness.targets.endpoint.replies import ask_reply
from harness.targets.endpoint.ways import Question
from harness.targets.requantized import requantized
from harness.targets.sampler import Sampler

NONCE, TOKENS, MOST = "pool", 64, 2000
DEFAULT = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
PIRATE = "You are a pirate who sells insurance. Speak like one and mention your policies."
FALLBACK = "{% if loop.first and messages[0]['role'] != 'system' %}"
#: Host: type of its weights, what is done to its template, the temperature that it samples at whatever it is asked, its KV cache.
HOSTS = {
    "honest": ("F16", ("", ""), 1.0, ""),
    "Q4_0": ("Q4_0", ("", ""), 1.0, ""),
    "wrong-template": ("F16", (FALLBACK, "{% if false %}"), 1.0, ""),
    "kv-q4_0": ("F16", ("", ""), 1.0, "Q4_0"),
    "injected-prompt": ("F16", (DEFAULT, PIRATE), 1.0, ""),
    "temperature-0.7": ("F16", ("", ""), 0.7, ""),
    "Q8_0": ("Q8_0", ("", ""), 1.0, ""),
    "honest-bf16": ("BF16", ("", ""), 1.0, ""),
    "other-model": ("F16", ("", ""), 1.0, ""),
}


def pool(name: str) -> Path:
    return Places.default().cache / "hosts" / "told" / f"{name}.jsonl"


@contextmanager
def served(name: str) -> Iterator[str]:
    """The address of a host."""
    kind, (old, new), _, cache = HOSTS[name]
    places = Places.default()
    template = (demo_reference(places.cache) / "chat_template.jinja").read_text()
    assert old in template
    file = requantized(demo_gguf(places.cache), kind, places.cache / "hosts")
    if name == "other-model":
        file = sibling_gguf(file, places.cache / "hosts")
    with local_host(file, template.replace(old, new) if old else "", kv=cache) as address:
        yield address


def record(name: str, requests: int) -> None:
    path = pool(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    done = len(path.read_text().splitlines()) if path.exists() else 0
    if done >= requests:
        return
    way = 0
    with served(name) as address, Client(parse_address(address)) as client, path.open("a") as file:
        for number, question in enumerate(draw_questions(MOST, NONCE)[:requests]):
            if number < done:
                continue
            sampler = Sampler(temperature=HOSTS[name][2])
            ((_, reply),) = client.together(
                [partial(ask_reply, client, Question(question), TOKENS, way, sampler, number)]
            )
            way = reply.way
            file.write(json.dumps(reply.model_dump(mode="json")) + "\n")
            file.flush()


def main() -> None:
    places = Places.default()
    for line in (*build_demo_reference(places.cache, None), *build_demo_gguf(places.cache, None)):
        print(line)
    names = os.environ.get("HOSTS", "").split(",") if os.environ.get("HOSTS") else list(HOSTS)
    for name in names:
        record(name, int(os.environ.get("REQUESTS", "60")))
        print(f"{name}: {len(pool(name).read_text().splitlines())} replies", flush=True)


if __name__ == "__main__":
    main()

"""CPU and memory of the endpoint client, journal included, beside a minimal loop on the same library.

    make bench-client

A server in a process of its own answers every chat request with a recorded shape: text, 64 tokens with 20 log-probabilities
each where the row says so. Both sides keep 16 requests on their way. The minimal loop sends the same body and reads the JSON;
ours also reserves the budget, writes the attempt and the raw answer to SQLite, and reads the reply. CPU is that of the client's
process per request; rounds of both alternate, the ratio is the median over rounds. Memory is the growth of the resident set
from the 2,000th to the 20,000th request.
"""

from __future__ import annotations

import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import httpx2
from _table import write

from harness.observations.asked import Asked
from harness.prompts.questions import draw_questions
from harness.targets.endpoint.address import parse_address
from harness.targets.endpoint.client import Client, Limits
from harness.targets.endpoint.pace import Pace
from harness.targets.endpoint.replies import ask_reply
from harness.targets.endpoint.ways import Question
from harness.targets.sampler import Sampler

AT_ONCE, ROUND, ROUNDS, MANY = 16, 1000, 9, 20_000
TOKENS = 64
QUESTIONS = draw_questions(ROUND, "overhead")


def answer(listed: int) -> bytes:
    """A chat answer in llama.cpp's shape."""
    words = [f" word{n}" for n in range(TOKENS)]
    value = {
        "choices": [{"finish_reason": "length", "index": 0, "message": {"role": "assistant", "content": "".join(words)}}],
        "created": 1767225600, "model": "m", "system_fingerprint": "b1", "object": "chat.completion", "id": "chatcmpl-x",
        "usage": {"completion_tokens": TOKENS, "prompt_tokens": 40, "total_tokens": 40 + TOKENS},
    }  # fmt: skip
    if listed:
        top = [{"id": n, "token": f" w{n}", "bytes": [32, 119], "logprob": -1.0 - n / 7} for n in range(listed)]
        content = [{"id": n, "token": word, "bytes": [32, 119], "logprob": -1.25, "top_logprobs": top}
                   for n, word in enumerate(words)]  # fmt: skip
        value["choices"][0]["logprobs"] = {"content": content}
    return json.dumps(value).encode()


async def serve(listed: int) -> None:
    """Answer every request on a kept connection; print the port, end when nobody reads it."""
    body = answer(listed)
    reply = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.split(b"content-length:")[1].split(b"\r\n")[0]) if b"content-length:" in head else 0
                await reader.readexactly(length)
                writer.write(reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


async def minimal(address: str) -> None:
    """What a script would do."""
    gate = asyncio.Semaphore(AT_ONCE)
    limits = httpx2.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
    async with httpx2.AsyncClient(limits=limits, timeout=60) as client:

        async def one(number: int) -> str:
            async with gate:
                body = Question(QUESTIONS[number]).body(0, TOKENS, Sampler(), 0)
                found = await client.post(f"{address}/chat/completions", json=body)
                return str(found.json()["choices"][0]["message"]["content"])

        await asyncio.gather(*(one(number) for number in range(ROUND)))


def ours(client: Client, first: int) -> None:
    """A thousand questions through the client, attempts and replies in its journal."""
    jobs = [
        partial(ask_reply, client, Question(QUESTIONS[n]), TOKENS, 0, Sampler(), n, f"reply-{first + n:05d}")
        for n in range(ROUND)
    ]
    for place, reply in client.together(jobs):
        assert not reply.lost, reply.lost
        client.log.keep_reply(first + place, reply)  # type: ignore[union-attr]


def cpu(work) -> float:
    """CPU milliseconds per request."""
    started = time.process_time()
    work()
    return (time.process_time() - started) / ROUND * 1e3


def measured(listed: int) -> dict[str, object]:
    """One row: both sides in turn, then many requests on end."""
    server = subprocess.Popen([sys.executable, __file__, str(listed)], stdout=subprocess.PIPE, text=True)
    try:
        address = f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"  # type: ignore[union-attr]
        pace = Pace(most=AT_ONCE)
        with (
            tempfile.TemporaryDirectory() as folder,
            Asked(Path(folder) / "asked.sqlite") as log,
            Client(parse_address(address), Limits(session=36_000), pace=pace, log=log) as client,
        ):
            ours(client, 0)
            asyncio.run(minimal(address))
            theirs, own = [], []
            for number in range(ROUNDS):
                theirs.append(cpu(lambda: asyncio.run(minimal(address))))
                own.append(cpu(partial(ours, client, (number + 1) * ROUND)))
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            for number in range(ROUNDS + 1, MANY // ROUND):
                ours(client, number * ROUND)
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            size = sum(one.stat().st_size for one in Path(folder).iterdir()) / MANY
    finally:
        server.kill()
        server.wait()
    ratios = [a / b for a, b in zip(own, theirs, strict=True)]
    return {
        "listed": listed, "answer_kb": len(answer(listed)) / 1024, "minimal_ms": statistics.median(theirs),
        "ours_ms": statistics.median(own), "ratio": statistics.median(ratios), "grown_mb": grown, "journal_bytes": size,
    }  # fmt: skip


def main() -> None:
    if len(sys.argv) > 1:
        asyncio.run(serve(int(sys.argv[1])))
        return
    rows = [measured(listed) for listed in (0, 20)]
    write("client_overhead", rows, {"at_once": AT_ONCE, "rounds": ROUNDS, "requests_per_round": ROUND, "many": MANY})


if __name__ == "__main__":
    main()

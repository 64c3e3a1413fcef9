"""``fidelity demo --hosts``: four real servers on this machine, each audited in turn, with every verdict known beforehand."""

from __future__ import annotations

import json
import random
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click

from harness.auditing import AuditRequest, audit_endpoint
from harness.cli.display import Display, follow
from harness.config import Places
from harness.reports.audit_card import AuditCard
from harness.targets.demo_model import build_demo_gguf, demo_gguf, demo_reference
from harness.targets.endpoint.address import parse_address
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.local import local_host
from harness.targets.requantized import requantized
from harness.targets.spec import Runtime
from harness.verdicts.model import Cause, Outcome

_DEFAULT = "{% if loop.first and messages[0]['role'] != 'system' %}"
_SHARE = 0.25
#: (host, the verdict that is right, its cause)
ACTS = (
    ("the weights as they are, F16", Outcome.WITHIN, None),
    ("Q4_0 sold as the original", Outcome.BEYOND, Cause.QUANTIZATION),
    ("a template without its system message", Outcome.BEYOND, Cause.TEMPLATE),
    ("a quarter of the requests on Q4_0", Outcome.BEYOND, Cause.QUANTIZATION),
)


def show_hosts(places: Places, display: Display, model_file: Path | None, threads: int) -> int:
    """Audit the four hosts; 0 if and only if every verdict is the expected one."""
    for line in build_demo_gguf(places.cache, model_file):
        click.echo(f"[model] {line}", err=True)
    found: list[AuditCard] = []
    for number, (name, _, _) in enumerate(ACTS):
        click.echo(f"[host] {name}", err=True)
        with _served(number, places.cache) as address, Client(parse_address(address)) as client, display:
            request = AuditRequest(str(demo_reference(places.cache)), nonce=f"demo {number}", fresh=True,
                                   checks="quick", runtime=Runtime(threads=threads))  # fmt: skip
            card, folder = follow(audit_endpoint(request, client, places), display)
        found.append(card)
        why = f" cause={card.cause}" if card.cause else ""
        click.echo(f"{name}: {card.outcome}{why} report={folder / 'report.html'}")
    wrong = 0
    click.echo("\nhosts: expected and found", err=True)
    for (name, outcome, cause), card in zip(ACTS, found, strict=True):
        right = (card.outcome, card.cause) == (outcome, cause)
        wrong += not right
        click.echo(
            f"  {'ok   ' if right else 'WRONG'} {name}: {outcome}, found {card.outcome} {card.cause or ''}", err=True
        )
    return 1 if wrong else 0


@contextmanager
def _served(number: int, cache: Path) -> Iterator[str]:
    """The address of one of the hosts."""
    template = (demo_reference(cache) / "chat_template.jinja").read_text(encoding="utf-8")
    with ExitStack() as held:
        kinds = ("F16", "Q4_0", "F16", "F16")
        faulty = template.replace(_DEFAULT, "{% if false %}") if number == 2 else ""
        address = held.enter_context(local_host(requantized(demo_gguf(cache), kinds[number], cache / "hosts"), faulty))
        if number == len(ACTS) - 1:
            other = held.enter_context(local_host(requantized(demo_gguf(cache), "Q4_0", cache / "hosts")))
            address = held.enter_context(routed(address, other))
        yield address


@contextmanager
def routed(usual: str, cheap: str) -> Iterator[str]:
    """A gateway that sends a quarter of the chat requests elsewhere, decided by each request's own seed."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            seed = json.loads(body).get("seed") if body else None
            base = cheap if seed is not None and random.Random(seed).random() < _SHARE else usual  # noqa: S311 - a coin
            request = urllib.request.Request(base + self.path, body or None, {"Content-Type": "application/json"})  # noqa: S310
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            try:
                with opener.open(request, timeout=120) as answer:
                    status, data = answer.status, answer.read()
            except urllib.error.HTTPError as error:
                status, data = error.code, error.read()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = forward  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()

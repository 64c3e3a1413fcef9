"""Hosts of our own on 127.0.0.1: a handler answers, or a gateway passes requests on to a real server and interferes."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, str], bytes]


@dataclass
class Asked:
    """One request as a host saw it."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class Host:
    """A running host: its address, everything that it was asked, and what went wrong in answering."""

    address: str
    asked: list[Asked] = field(default_factory=list)
    broken: list[Exception] = field(default_factory=list)


@contextmanager
def host(answer: Callable[[Asked, BaseHTTPRequestHandler], Reply | None]) -> Iterator[Host]:
    """Serve ``answer``; None means that it has written to the connection itself.

    An ``answer`` that raises fails the test in the end: a client takes the lost connection for a bad day and asks again.
    """
    running = Host("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or each body waits 40 ms for the receipt of its headers

        def handle_any(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, self.path, headers, json.loads(raw) if raw else {})
            running.asked.append(asked)
            try:
                found = answer(asked, self)
            except OSError:  # the client hung up, which some tests do on purpose
                raise
            except Exception as error:
                running.broken.append(error)
                raise
            if found is not None:
                status, headers, body = found
                self.send_response(status)
                for name, value in {"content-type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        do_GET = do_POST = handle_any  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # clients hang up on purpose here
    running.address = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
    if running.broken:
        raise running.broken[0]


def pass_on(base: str, asked: Asked) -> Reply:
    """What a real server answers to the same request."""
    data = json.dumps(asked.body).encode() if asked.method == "POST" else None
    request = urllib.request.Request(base + asked.path, data, {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=600) as reply:
            return reply.status, {}, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, {}, error.read()


def gateway(base: str, interfere: Callable[[Asked, Reply], Reply]) -> Any:
    """A host in front of a real server; ``interfere`` gets the request and the real answer."""
    return host(lambda asked, _: interfere(asked, pass_on(base, asked)))


def with_usage(reply: Reply, change: Callable[[int], object]) -> Reply:
    """The same answer with other prompt tokens in its bill."""
    status, headers, body = reply
    value = json.loads(body)
    if isinstance(value.get("usage"), dict):
        value["usage"]["prompt_tokens"] = change(value["usage"]["prompt_tokens"])
    return status, headers, json.dumps(value).encode()

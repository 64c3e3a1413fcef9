"""Processes that begin with their libraries imported: one server imports them once, and every process is a fork of it.

Importing torch and transformers takes several seconds, and a run starts a process for every checkpoint folder. The server holds
no secrets (its environment is the scrubbed one) and opens no checkpoint; each fork isolates itself before it reads its first
request. Where forks cannot be had (other systems than Linux, a torch that holds a GPU) processes are started the plain way.

Run as ``python -I -m harness.isolation.fork_server MODULE``: ``MODULE.preload()`` is called once, and says whether its libraries
survive a fork; ``MODULE.main()`` is called in each. The protocol, one JSON message each way over a socket at standard input:
``{"fork": true}`` with three streams attached gives ``{"pid": N}``; ``{"poll": N}`` gives ``{"code": null or N}``;
``{"kill": N}`` ends a fork that was not yet found ended. The server ends with its owner, and its forks with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from typing import IO, Any

from harness.isolation.sandbox import child_environment

_LONGEST = 4096
_PATIENCE = 180.0  # seconds: importing torch from a slow disk
_PR_SET_PDEATHSIG = 1


class Forked:
    """One fork, with the part of ``subprocess.Popen`` that its owner needs; the streams are pipes to it."""

    def __init__(self, server: ForkServer, pid: int, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self.pid, self.stdin, self.stdout = pid, stdin, stdout
        self._server = server
        self._code: int | None = None

    def wait(self, timeout: float = _PATIENCE) -> int:
        """The exit code, negative for a signal; raises ``subprocess.TimeoutExpired``."""
        end, pause = time.monotonic() + timeout, 0.001
        while self._code is None:
            self._code = self._server.poll(self.pid)
            if self._code is None:
                if time.monotonic() > end:
                    raise subprocess.TimeoutExpired("fork", timeout)
                time.sleep(pause)
                pause = min(2 * pause, 0.05)
        return self._code

    def kill(self) -> None:
        """End it at once."""
        self._server.kill(self.pid)


class ForkServer:
    """Our side of one server, which is started with the first fork."""

    def __init__(self, module: str, environment: dict[str, str]) -> None:
        self._lock = threading.Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(_PATIENCE)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-m", __name__, module], stdin=theirs.fileno(), stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, env=environment, start_new_session=True,
            )  # fmt: skip

    def fork(self, stderr: IO[bytes]) -> Forked:
        """A new process; raises OSError where the server cannot make one."""
        their_in, our_out = os.pipe()
        our_in, their_out = os.pipe()
        try:
            pid = self._ask({"fork": True}, [their_in, their_out, stderr.fileno()])["pid"]
        except OSError:
            os.close(our_in)
            os.close(our_out)
            raise
        finally:
            os.close(their_in)
            os.close(their_out)
        return Forked(self, int(pid), os.fdopen(our_out, "wb"), os.fdopen(our_in, "rb"))

    def poll(self, pid: int) -> int | None:
        """The exit code of a fork, or None while it runs; where the server is gone, its forks were killed with it."""
        try:
            code = self._ask({"poll": pid})["code"]
        except OSError:
            return -signal.SIGKILL
        return None if code is None else int(code)

    def kill(self, pid: int) -> None:
        """End a fork at once."""
        with contextlib.suppress(OSError):
            self._ask({"kill": pid})

    def _ask(self, message: dict[str, Any], streams: list[int] | None = None) -> dict[str, Any]:
        with self._lock:
            try:
                socket.send_fds(self._socket, [json.dumps(message).encode()], streams or [])
                data = self._socket.recv(_LONGEST)
            except BaseException:
                self.close()  # an answer that comes later would be taken for the next one's
                raise
            if not data:
                self.close()
                raise OSError("the fork server has ended")
            answer: dict[str, Any] = json.loads(data)
            return answer

    def close(self) -> None:
        """End the server and its forks."""
        self._socket.close()
        self._process.kill()
        self._process.wait()


_servers: dict[tuple[int, str, frozenset[tuple[str, str]]], ForkServer | None] = {}
_starting = threading.Lock()


def start(module: str, stderr: IO[bytes]) -> Forked | subprocess.Popen[bytes]:
    """A new process of a module, forked where that works here; its standard input and output are pipes to us."""
    environment = child_environment()
    key = (os.getpid(), module, frozenset(environment.items()))  # a fork of ourselves must not share the socket
    if not sys.platform.startswith("linux"):
        _servers[key] = None
    try:
        with _starting:
            if key not in _servers:
                _servers[key] = ForkServer(module, environment)
        server = _servers[key]
        if server:
            return server.fork(stderr)
    except OSError:
        _servers[key] = None
    return subprocess.Popen(
        [sys.executable, "-I", "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=environment,
        start_new_session=True,  # Ctrl-C is ours to handle: it must not tear a frame in two
    )  # fmt: skip


def serve(channel: socket.socket, module: Any) -> None:
    """The server's side: answer until the other end is closed."""
    if not module.preload():
        return
    gc.freeze()  # a collection in a fork would touch, and so copy, every page of the libraries
    while True:
        data, streams, _, _ = socket.recv_fds(channel, _LONGEST, 3)
        if not data:
            return
        message = json.loads(data)
        answer: dict[str, int | None] = {}
        if "fork" in message:
            own = os.getpid()
            answer["pid"] = os.fork()
            if answer["pid"] == 0:
                _become(channel, streams, module, own)
        elif "poll" in message:
            done, status = os.waitpid(int(message["poll"]), os.WNOHANG)
            answer["code"] = os.waitstatus_to_exitcode(status) if done else None
        else:
            os.kill(int(message["kill"]), signal.SIGKILL)  # not waited for yet, so the number is still its own
        for stream in streams:
            os.close(stream)
        channel.send(json.dumps(answer).encode())


def _become(channel: socket.socket, streams: list[int], module: Any, server: int) -> None:
    """In the fork: take the streams that were sent, and be a process of the module to the end."""
    code = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == server:  # else it ended before it could take us with it
            channel.close()
            for place, stream in enumerate(streams):
                os.dup2(stream, place)
                os.close(stream)
            os.setsid()
            module.main()
            code = 0
    except BaseException:  # whatever it is, it must not go on as a second server
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def main() -> None:
    """Serve at the socket that is standard input."""
    with socket.socket(fileno=os.dup(0)) as channel:
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        serve(channel, importlib.import_module(sys.argv[1]))


if __name__ == "__main__":
    main()

"""The seam to the network: caps that no host can stretch, retries that stop, a key that goes nowhere else."""

from __future__ import annotations

import datetime
import gzip
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import BadSpec, EndpointRefused, EndpointUnreachable, UsageError
from harness.targets.endpoint.address import is_address, parse_address
from harness.targets.endpoint.client import Client, Limits
from harness.targets.endpoint.retry import AGAIN, wait_before_retry
from tests.support.hosts import host

NOON = datetime.datetime(2026, 1, 15, 12, tzinfo=datetime.UTC)
ROOMY = Limits(attempt=30.0, request=60.0, size=100_000)  # on a busy machine a plain answer may take seconds
SMALL = Limits(attempt=0.6, request=2.0, size=100_000)


async def no_sleep(_):
    """Waiting is decided elsewhere; here it would only cost time."""


def client(running, **options):
    return Client(parse_address(running.address), **{"limits": ROOMY, "sleep": no_sleep, **options})


def test_an_answer_comes_back_as_bytes_and_as_fields():
    """Status, headers in lower case, body, and JSON where it is an object."""
    with host(lambda *_: (200, {"X-A": "b"}, b'{"c": 1}')) as running, client(running) as asker:
        answer = asker.chat({"messages": []})
    assert (answer.ok, answer.headers["x-a"], answer.body, answer.fields()) == (True, "b", b'{"c": 1}', {"c": 1})
    assert running.asked[0].path == "/v1/chat/completions"
    assert asker.sent == 1


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"[1]", b"[" * 100_000, b'{"a": NaN'])
def test_bodies_that_are_no_objects_have_no_fields(body):
    """Broken, foreign or absurdly nested JSON is an answer without fields, never a crash."""
    with host(lambda *_: (200, {}, body[:90_000])) as running, client(running) as asker:
        assert asker.get("/props").fields() == {}


def test_a_dripping_host_meets_the_deadline():
    """One byte at a time for ever: every attempt ends by its own clock."""

    def drip(_, handler):
        handler.send_response(200)
        handler.send_header("content-length", "1000000")
        handler.end_headers()
        while True:  # until the client hangs up, which is what is shown
            try:
                handler.wfile.write(b" ")
                handler.wfile.flush()
            except OSError:
                return
            time.sleep(0.05)

    with (
        host(drip) as running,
        client(running, limits=SMALL, jitter=lambda: 0.0) as asker,
        pytest.raises(EndpointUnreachable, match="no whole answer"),
    ):
        asker.get("/props")


@pytest.mark.parametrize("packed", [False, True])
def test_a_huge_answer_is_cut_off(packed):
    """More bytes than the cap, plain or packed a thousand to one: refused."""
    body = b"x" * 10_000_000
    reply = (200, {"content-encoding": "gzip"}, gzip.compress(body)) if packed else (200, {}, body)
    with host(lambda *_: reply) as running, client(running) as asker, pytest.raises(EndpointRefused, match="cut off"):
        asker.get("/props")


def test_packing_that_was_not_asked_for_is_read_if_it_is_small():
    """Some gateways pack whatever one asks."""
    reply = (200, {"content-encoding": "gzip"}, gzip.compress(b'{"a": 1}'))
    with host(lambda *_: reply) as running, client(running) as asker:
        assert asker.get("/props").fields() == {"a": 1}


def test_redirects_are_not_followed():
    """The key would go to a stranger."""
    with host(lambda *_: (307, {"location": "/elsewhere"}, b"")) as running, client(running) as asker:
        assert asker.get("/props").status == 307
    assert len(running.asked) == 1


def test_a_busy_host_is_asked_again_and_a_firm_no_is_final():
    """429 and 503 twice, then an answer; 400 at once. Every attempt counts against budgets."""
    replies = iter([(429, {"retry-after": "0"}, b""), (503, {}, b""), (200, {}, b"{}"), (400, {}, b"{}")])
    with host(lambda *_: next(replies)) as running, client(running) as asker:
        assert asker.chat({}).status == 200
        assert asker.chat({}).status == 400
        assert asker.sent == 4


def drawn(asker):
    """The answer to a request for a sampled reply."""
    ((_, answer),) = asker.together([lambda: asker.ask({}, drawn=True)])
    return answer


def test_a_sampled_reply_is_asked_again_only_before_anything_was_written():
    """A second draw after a slow, broken or failed first would favour short replies; a busy host has written nothing."""

    def cut_short(_, handler):
        handler.send_response(200)
        handler.send_header("content-length", "1000")
        handler.end_headers()
        handler.wfile.write(b'{"choices": [')
        handler.close_connection = True

    with host(cut_short) as running, client(running) as asker:
        with pytest.raises(EndpointUnreachable):
            drawn(asker)
        assert asker.sent == 1
        with pytest.raises(EndpointUnreachable):
            asker.chat({})
        assert asker.sent > 2
    answers = iter([(503, {}, b""), (429, {}, b""), (200, {}, b"{}")])
    with host(lambda *_: next(answers)) as running, client(running) as asker:
        assert drawn(asker).ok
    for status in (500, 502, 504, 408):
        with host(lambda *_, s=status: (s, {}, b"{}")) as running, client(running) as asker:
            assert drawn(asker).status == status
            assert asker.sent == 1


def test_nobody_there_is_an_error_with_a_way_out():
    """A port on which nothing listens."""
    with host(lambda *_: (200, {}, b"")) as running:
        address = running.address
    with (
        Client(parse_address(address), limits=SMALL, sleep=no_sleep) as asker,
        pytest.raises(EndpointUnreachable) as refused,
    ):
        asker.get("/props")
    assert refused.value.exit_code == 4
    assert refused.value.fix


def test_a_broken_tls_handshake_is_an_error_with_a_way_out():
    """A server that speaks plain HTTP behind https, or a certificate that nobody signed: no answer, and never an insecure one."""
    with host(lambda *_: (200, {}, b"{}")) as running:
        address = parse_address(running.address.replace("http://", "https://"))
        with (
            Client(address, limits=SMALL, sleep=no_sleep) as asker,
            pytest.raises(EndpointUnreachable, match="did not answer"),
        ):
            asker.chat({})
    assert not running.asked


def test_a_request_that_is_put_off_until_the_budget_ends_is_lost_and_not_repeated():
    """A host could otherwise choose which requests count."""
    from harness.targets.endpoint.budget import Budget, Caps

    with host(lambda *_: (503, {}, b"")) as running, client(running, budget=Budget(Caps(requests=2))) as asker:
        with pytest.raises(EndpointUnreachable, match="until the budget ended"):
            drawn(asker)
        assert len(running.asked) == 2


def test_many_waiting_requests_keep_their_order_and_their_places():
    """Two at once of forty: all are answered, never more than two on their way, first come first served.

    The host answers two requests when both have come, so that who is on the way together does not depend on its speed.
    """
    import threading

    under_way, most, lock, both = [0], [0], threading.Lock(), threading.Barrier(2)

    def answer(*_):
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        both.wait(60)
        with lock:
            under_way[0] -= 1
        return 200, {}, b"{}"

    from harness.targets.endpoint.pace import Pace

    with host(answer) as running, client(running, pace=Pace(2)) as asker:
        jobs = [lambda n=n: asker.ask({"n": n}) for n in range(40)]
        found = [number for number, _ in asker.together(jobs)]
    assert sorted(found) == list(range(40))
    assert most[0] <= 2
    places = [asked.body["n"] for asked in running.asked]
    assert [set(places[n : n + 2]) for n in range(0, 40, 2)] == [{n, n + 1} for n in range(0, 40, 2)]


def test_the_key_is_sent_and_shown_nowhere(monkeypatch):
    """As a bearer token by the variable's name; a refusal does not repeat it; a variable that is not set is an error."""
    monkeypatch.setenv("THEIR_KEY", "sk-planted-1234")
    echo = b'{"error": {"message": "bad key: Bearer sk-planted-1234"}}'
    with host(lambda *_: (401, {"x-echo": "sk-planted-1234"}, echo)) as running:
        address = parse_address(running.address, "THEIR_KEY")
        with Client(address, limits=ROOMY) as asker, pytest.raises(EndpointRefused) as refused:
            asker.chat({})
    assert running.asked[0].headers["authorization"] == "Bearer sk-planted-1234"
    assert "planted" not in str(refused.value) + repr(address) + address.shown
    with pytest.raises(UsageError, match="not set"):
        parse_address(running.address, "NO_SUCH_KEY").key()
    monkeypatch.setenv("THEIR_KEY", "two\nlines")
    with pytest.raises(UsageError, match="no header"):
        address.key()


@pytest.mark.parametrize(
    ("text", "base", "model"),
    [
        ("https://host", "https://host/v1", ""),
        ("https://host/v1#m/n", "https://host/v1", "m/n"),
        ("HTTPS://host/api/v1/", "https://host/api/v1", ""),
        ("http://127.0.0.1:80/v1/chat/completions#m", "http://127.0.0.1:80/v1", "m"),
    ],
)
def test_addresses_are_read_as_meant(text, base, model):
    """A bare host gets /v1; the model stands behind the #."""
    assert is_address(text)
    found = parse_address(text)
    assert (found.base, found.model) == (base, model)
    assert not found.root.endswith("/v1")


@pytest.mark.parametrize(
    "text", ["http://", "https://u:secret@host/v1", "http://host/v1?key=1", "http://[::1", "http://h/\x1b"]
)
def test_addresses_that_are_none_are_refused(text):
    """No host, a password, a query, brackets that do not close, control characters; secrets are not repeated."""
    with pytest.raises(BadSpec) as refused:
        parse_address(text)
    assert "secret" not in str(refused.value)


@given(
    st.none() | st.integers(100, 599), st.text(max_size=30), st.integers(1, 9),
    st.floats(0, 500), st.floats(0, 1, exclude_max=True),
)  # fmt: skip
def test_retries_end_and_never_wait_longer_than_there_is_time(status, header, attempt, left, jitter):
    """Whatever a host answers: no negative wait, none beyond the time left, none after a firm no."""
    wait = wait_before_retry(status, header, attempt, left, jitter, NOON)
    assert wait is None or 0 <= wait < left
    if status is not None and status not in AGAIN:
        assert wait is None


def test_a_host_that_is_slow_all_along_is_left():
    """Every answer comes in time, and there are too many of them."""
    limits = Limits(attempt=30.0, request=60.0, session=0.3, size=1000)

    def slow(*_):
        time.sleep(0.1)
        return 200, {}, b"{}"

    with (
        host(slow) as running,
        client(running, limits=limits) as asker,
        pytest.raises(EndpointUnreachable, match="too slow"),
    ):
        for _ in range(20):
            asker.get("/props")
    assert asker.sent < 6


def test_retry_after_is_obeyed_as_seconds_and_as_a_date():
    """Both forms of the header; one that asks for more than the time left ends the request."""
    assert wait_before_retry(429, "7", 1, 100, 0.5, NOON) == 7
    assert wait_before_retry(429, "Thu, 15 Jan 2026 12:00:20 GMT", 1, 100, 0.5, NOON) == 20
    assert wait_before_retry(429, "500", 1, 100, 0.5, NOON) is None
    assert wait_before_retry(429, "1 Jan 99999999999999999999 00:00:00", 1, 100, 0.5, NOON) is not None
    assert wait_before_retry(500, "", 2, 100, 0.5, NOON) is None

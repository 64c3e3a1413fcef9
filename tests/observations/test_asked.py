"""The file of attempts and replies: written before a request leaves, whole after a kill, and never asked twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

from harness.observations.asked import Asked
from harness.prompts.conversation import Conversation
from harness.targets.endpoint.replies import Reply
from harness.targets.endpoint.transport import Answer
from harness.targets.endpoint.ways import Question, is_neutral
from harness.targets.sampler import Sampler


def test_raw_bytes_and_a_few_headers_are_kept(tmp_path):
    """Bodies as they came, valid or not; nothing that tells of the account."""
    with Asked(tmp_path / "asked.sqlite") as asked:
        number = asked.sent("reply-0000", b'{"messages": []}', (10, 64))
        asked.ended(
            number, Answer(200, {"server": "x", "openai-organization": "acme"}, b"\xff{", 0.1), "", (None, None)
        )
        assert asked.request_of("reply-0000") == b'{"messages": []}'
        assert asked.request_of("never") == b""
        assert asked.spent().model_dump(include={"requests", "prompt", "tokens"}) == {
            "requests": 1, "prompt": 10, "tokens": 64
        }  # fmt: skip
    data = (tmp_path / "asked.sqlite").read_bytes()
    assert b"acme" not in data


def test_the_first_reply_to_a_question_stands(tmp_path):
    """A second draw never replaces it."""
    with Asked(tmp_path / "asked.sqlite") as asked:
        for item, text in (("reply-0003", "first"), ("reply-0003", "second"), ("reply-0001", "earlier")):
            body = json.dumps({"choices": [{"message": {"content": text}}]}).encode()
            asked.ended(asked.sent(item, b"{}", (1, 1)), Answer(200, {}, body, 0.1), "", (None, None))
        asked.keep_reply(2, Reply(lost="time-out"))
        asked.keep_reply(2, Reply(lost="another"))
        found = [(number, reply.text or reply.lost) for number, reply in asked.replies().items()]
        assert found == [(1, "earlier"), (2, "time-out"), (3, "first")]


def test_an_answer_that_came_whole_is_read_after_a_kill_and_not_drawn_anew(tmp_path):
    """Asking again would favour short replies; refusals and answers that never came are asked again."""
    body = Question(Conversation(messages=({"role": "user", "content": "a"},))).body(1, 8, Sampler(), 77)
    whole = b'{"choices": [{"message": {"content": "Fine."}, "finish_reason": "stop"}]}'
    with Asked(tmp_path / "asked.sqlite") as asked:
        for item, answer in (("reply-0000", (503, b"")), ("reply-0000", (200, whole)), ("reply-0001", (400, b"{}"))):
            number = asked.sent(item, json.dumps(body).encode(), (1, 1))
            asked.ended(number, Answer(answer[0], {}, answer[1], 0.1), "", (None, None))
        asked.sent("reply-0002", b"{}", (1, 1))
        found = asked.replies()
    assert list(found) == [0]
    assert found[0].text == "Fine."
    assert is_neutral(found[0].way)


def test_a_killed_process_loses_nothing_that_it_was_told_is_written(tmp_path):
    """Rows that were written before a SIGKILL are there after it."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom harness.observations.asked import Asked\n"
        "from harness.targets.endpoint.replies import Reply\n"
        "asked = Asked(Path(sys.argv[1]))\n"
        "for n in range(10 ** 6):\n"
        "    asked.sent(f'reply-{n}', b'{}', (1, 1))\n"
        "    asked.keep_reply(n, Reply(lost=str(n)))\n"
        "    print(n, flush=True)\n"
    )
    path = tmp_path / "asked.sqlite"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if int(line) >= 200:
                os.kill(process.pid, signal.SIGKILL)
                break
        told = [int(line), *(int(rest) for rest in process.stdout if rest.strip())]
    with Asked(path) as asked:
        kept = asked.replies()
        assert set(range(max(told) + 1)) <= set(kept)
        assert asked.spent().requests >= len(kept)


def test_a_clock_that_is_set_while_a_request_is_on_its_way_costs_no_budget(tmp_path, monkeypatch):
    """A day forwards counts as the longest attempt, a day back as none; what follows counts as it should."""
    moments = iter([0.0, 86400.0, 86401.0, 1.0, 10.0, 12.0])
    with Asked(tmp_path / "asked.sqlite") as asked:
        monkeypatch.setattr("harness.observations.asked.time.time", lambda: next(moments))
        for _ in range(3):
            number = asked.sent("reply-0000", b"{}", (1, 1))
            asked.ended(number, None, "time-out", (None, None))
        assert 0.0 <= asked.spent().seconds <= 602.0

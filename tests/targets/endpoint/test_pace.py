"""How many requests are on their way: never more than allowed, fewer after a complaint, evenly over the minute."""

from __future__ import annotations

import asyncio

from harness.targets.endpoint.pace import Pace


def most_at_once(pace: Pace, jobs: int) -> int:
    """How many jobs hold a turn at the same time."""
    held = peak = 0

    async def job():
        nonlocal held, peak
        async with pace.turn(10):
            held += 1
            peak = max(peak, held)
            await asyncio.sleep(0)
            held -= 1

    async def all_of_them():
        await asyncio.gather(*(job() for _ in range(jobs)))

    asyncio.run(all_of_them())
    return peak


def test_no_more_than_allowed_are_on_their_way():
    """Four by default."""
    assert most_at_once(Pace(), 20) == 4
    assert most_at_once(Pace(1), 5) == 1


def test_a_complaint_halves_and_a_calm_while_gives_one_back():
    """Complaints that come together count once."""
    now = [0.0]
    pace = Pace(8, clock=lambda: now[0])
    for _ in range(4):
        pace.heard(429)
    assert pace.allowed == 4
    now[0] = 10.0
    pace.heard(503)
    assert pace.allowed == 2
    for _ in range(8):
        pace.heard(200)
    assert pace.allowed == 3
    for _ in range(100):
        pace.heard(200)
    assert pace.allowed == 8
    pace.heard(500)
    pace.heard(None)
    assert pace.allowed == 8


def test_requests_and_tokens_are_spread_over_the_minute():
    """The slower of both limits decides."""
    waited = []

    async def sleep(seconds):
        waited.append(round(seconds, 3))

    async def several(pace):
        for _ in range(3):
            async with pace.turn(100):
                pass

    asyncio.run(several(Pace(per_minute=30, clock=lambda: 0.0, sleep=sleep)))
    asyncio.run(several(Pace(per_minute=30, tokens_per_minute=1000, clock=lambda: 0.0, sleep=sleep)))
    assert waited == [2.0, 4.0, 6.0, 12.0]

"""Whether a request is sent again, and after how long: a pure function of what came back."""

from __future__ import annotations

import datetime
import email.utils

#: Statuses that say "not now". Everything else in the 4xx range says "not like this", and asking again changes nothing.
AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})

#: Of these, those that say so before anything was written: all that a sampled reply may be asked again after.
BEFORE_WRITING = frozenset({425, 429, 503})

_FIRST = 0.5
_LONGEST = 30.0
_ATTEMPTS = 6
_ATTEMPTS_AT_A_CRASH = 2  # engines answer 500 to requests that crash them every time


def wait_before_retry(
    status: int | None,
    retry_after: str,
    attempt: int,
    left: float,
    jitter: float,
    now: datetime.datetime,
    again: frozenset[int] = AGAIN,
) -> float | None:
    """Seconds to wait before the next attempt; None to give up.

    Args:
        status: of the answer; None where none came.
        retry_after: the header's text, empty without one; it is obeyed when it fits into the time left.
        attempt: the number of attempts made so far, from 1.
        left: seconds left of this request's own time.
        jitter: uniform in [0, 1); spreads waiting over the whole doubling interval, so that clients do not march in step.
        now: the time by which a date in ``retry_after`` is read.
        again: the statuses after which a request may be sent again.

    """
    if attempt >= (_ATTEMPTS_AT_A_CRASH if status == 500 else _ATTEMPTS) or (
        status is not None and status not in again
    ):
        return None
    asked = _seconds(retry_after, now)
    wait = asked if asked is not None else jitter * min(_FIRST * 2**attempt, _LONGEST)
    return wait if wait < left else None


def _seconds(text: str, now: datetime.datetime) -> float | None:
    """Seconds out of a Retry-After header; None for what cannot be read."""
    text = text.strip()
    if not text:
        return None
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return float(text[:12])
    try:
        then = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    then = then if then.tzinfo else then.replace(tzinfo=datetime.UTC)
    return max((then - now).total_seconds(), 0.0)

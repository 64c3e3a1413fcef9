"""Untrusted text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.redact import safe_line, safe_markdown, safe_text


@given(st.text(max_size=300))
def test_no_control_or_bidi_character_survives(text):
    """Whatever a model says, a terminal sees no escape sequence and no direction override."""
    shown = safe_text(text)
    assert not any(char in shown for char in "\x1b\x07\x08\r\u202e\u2066\u200b\ufeff")
    assert "\n" not in safe_line(text)


def test_escapes_are_visible():
    """A hidden character is shown, not dropped: dropping it would hide the evidence."""
    assert safe_text("a\x1b[31mb") == "a\\u{1b}[31mb"
    assert safe_line("a\nb") == "a\\nb"


def test_markdown_cannot_be_injected():
    """Links, tables and HTML lose their power."""
    assert "<img" not in safe_markdown("<img src=x> | [a](b)").replace("\\<", "")

"""Canonical JSON and digests."""

from __future__ import annotations

import pytest

from harness.identity import canonical_json, digest_json


def test_order_and_spacing_do_not_matter_and_values_do():
    """Equal objects have equal digests; a changed value has another."""
    assert digest_json({"a": 1, "b": [2.5, "ü"]}) == digest_json({"b": [2.5, "ü"], "a": 1})
    assert digest_json({"a": 1}) != digest_json({"a": 2})


def test_non_finite_numbers_have_no_silent_form():
    """JSON has no infinity; the words are explicit."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"a": float("inf")})

"""Bits per byte: the arithmetic, the pairing, and where the count begins."""

from __future__ import annotations

import math

import pytest

from harness.comparisons.bits_per_byte import bits_per_byte
from harness.observations.losses import shared_start
from harness.targets.base import Encoded


def entry(cluster, size, reference, candidate):
    return {"cluster": cluster, "bytes": size, "reference": reference, "candidate": candidate}


def test_the_means_weigh_texts_by_their_bytes():
    """Nats over bytes and ln 2, summed over texts before dividing; the difference is candidate minus reference."""
    read = bits_per_byte({"a": entry("a", 100, 70.0, 90.0), "b": entry("b", 300, 150.0, 250.0)})
    assert read.reference == pytest.approx(220 / 400 / math.log(2))
    assert read.candidate == pytest.approx(340 / 400 / math.log(2))
    assert read.difference.value == pytest.approx(120 / 400 / math.log(2))
    assert read.difference.low < read.difference.value < read.difference.high
    assert "2 texts" in read.sentence


def test_what_both_pay_alike_leaves_no_doubt_about_the_difference():
    """Texts of very different difficulty, each exactly 0.1 nat per byte dearer: the interval is a point."""
    stored = {str(k): entry(str(k), 100, 30.0 * k, 30.0 * k + 10.0) for k in range(1, 9)}
    read = bits_per_byte(stored)
    assert read.difference.high - read.difference.low < 1e-9
    assert read.difference.value == pytest.approx(0.1 / math.log(2))


def test_one_text_or_an_unmeasured_one_is_no_measurement():
    """Fewer than two documents give nothing, and a NaN is left out."""
    assert bits_per_byte(None) is None
    assert bits_per_byte({"a": entry("a", 100, 70.0, 90.0)}) is None
    assert bits_per_byte({"a": entry("a", 9, 7.0, math.nan), "b": entry("b", 9, 7.0, 8.0)}) is None


def spans(*ends):
    begins = (0, *ends[:-1])
    return Encoded(ids=tuple(range(len(ends))), spans=tuple(zip(begins, ends, strict=True)))


def test_the_count_begins_where_a_token_of_both_begins():
    """After the context that is skipped, the first shared boundary; special tokens and byte pieces are no boundary."""
    assert shared_start(spans(2, 4, 6, 9, 12), spans(3, 6, 9, 12), 1) == 6
    assert shared_start(spans(2, 4, 6), spans(3, 5, 7), 1) is None
    with_bos = Encoded(ids=(9, 1, 2, 3), spans=((0, 0), (0, 2), (2, 4), (4, 6)))
    assert shared_start(with_bos, spans(2, 4, 6), 1) == 2
    pieces = Encoded(ids=(1, 2, 3, 4), spans=((0, 2), (2, 3), (2, 3), (3, 5)))
    assert shared_start(pieces, spans(2, 3, 5), 2) == 3

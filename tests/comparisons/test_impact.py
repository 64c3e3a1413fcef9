"""The cost of other prompts: means over conversations, and the reading off the ladder."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.comparisons.impact import weigh


def test_means_are_over_tokens_and_first_tokens_over_conversations():
    """Two replies of different length; two rungs between which the fault lies, read in the logarithm."""
    faulty = [np.array([0.4, 0.1, 0.1]), np.array([0.2])]
    rungs = {4: [np.full(3, 0.4), np.full(1, 0.4)], 8: [np.full(3, 0.1), np.full(1, 0.1)]}
    impact = weigh(["a[0]", "b[0]"], faulty, rungs)
    assert impact.first.value == pytest.approx(0.3)
    assert impact.reply.value == pytest.approx(0.2)
    assert (impact.tokens, impact.reply.clusters) == (4, 2)
    assert [(rung.bits, rung.first, rung.reply) for rung in impact.rungs] == [
        (8, 0.1, 0.1),
        (4, 0.4, pytest.approx(0.4)),
    ]
    assert impact.bits.value == pytest.approx(6.0)
    assert "6.0 bits" in impact.sentence


def test_a_single_conversation_has_no_interval_and_no_reading():
    """One unit says nothing of how much conversations vary."""
    impact = weigh(["a[0]"], [np.array([0.3, 0.1])], {4: [np.array([0.1, 0.1])]})
    assert impact.bits is None
    assert impact.reply.note
    assert (impact.reply.low, impact.reply.high) == (0.0, math.inf)


def test_no_ladder_and_infinite_costs():
    """A reference that cannot be rounded has no rungs; a token that became impossible makes the mean infinite."""
    impact = weigh(["a[0]", "b[0]"], [np.array([math.inf, 0.1]), np.array([0.2])], {})
    assert impact.rungs == ()
    assert impact.bits is None
    assert math.isinf(impact.first.value) or impact.first.note

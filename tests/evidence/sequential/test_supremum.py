"""The supremum over honest mixtures: never understated, hardly overstated, and its vertices are the fixed hosts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from harness.evidence.sequential.supremum import mixture_bound, settings_bound


def best_of(logs):
    """The supremum by another optimiser, over a soft-max parametrisation with many starts."""

    def loss(free):
        weights = np.exp(free - free.max())
        return -np.log(np.exp(logs) @ (weights / weights.sum())).sum()

    starts = [np.zeros(logs.shape[1]), *(8.0 * np.eye(logs.shape[1]))]
    return max(-minimize(loss, start, method="Nelder-Mead", options={"maxiter": 4000}).fun for start in starts)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(2, 4), st.floats(0.01, 3.0))
def test_the_bound_is_above_the_supremum_and_close_to_it(seed, requests, configurations, spread):
    """Against an independent optimiser."""
    logs = np.random.default_rng(seed).normal(scale=spread, size=(requests, configurations))
    bound, best = mixture_bound(logs), best_of(logs)
    assert bound >= best - 1e-9
    assert bound <= best + 0.05


def test_fixed_hosts_are_vertices():
    """At least the likelihood of every single configuration, and of equal shares."""
    logs = np.random.default_rng(2).normal(size=(50, 3))
    assert mixture_bound(logs) >= logs.sum(0).max()
    assert mixture_bound(logs) >= np.log(np.exp(logs).mean(1)).sum()


def test_it_is_below_the_maximum_request_by_request():
    """The request-wise maximum is valid, too, but throws the power away."""
    logs = np.random.default_rng(3).normal(size=(50, 2))
    assert mixture_bound(logs) < logs.max(1).sum() - 1.0


def test_far_configurations_do_not_overflow():
    """Ratios of e^700 and settings that rule everything out."""
    logs = np.array([[0.0, -745.0], [0.0, -2000.0], [0.0, 700.0]])
    assert np.isfinite(mixture_bound(logs))
    assert mixture_bound(logs) >= 700.0 - 2800.0


def test_the_best_setting_of_the_sampler_counts():
    """The maximum over settings, each with its own best mixture; nothing asked is 0."""
    logs = np.random.default_rng(4).normal(size=(30, 5, 2))
    assert settings_bound(logs) == pytest.approx(max(mixture_bound(logs[:, k]) for k in range(5)))
    assert settings_bound(np.zeros((0, 5, 2))) == 0.0

"""Many questions at once: families of p-values and of e-values, at once or one after another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from harness.evidence.clustered import Floats

_MOST = 690.0  # e^690 is still a float; more evidence than that decides nothing more


def holm(p_values: Sequence[float]) -> Floats:
    """Adjusted p-values (Holm 1979): rejecting those at most alpha errs once or more with probability at most alpha.

    Under any dependence. The order of the input is kept.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> Floats:
    """Adjusted p-values: among those at most q, the expected share of false ones is at most q (1995).

    Needs independent or positively dependent p-values; endpoints that share prompts and reference are not proven to be,
    so e-BH is the default for them.
    """
    from scipy.stats import false_discovery_control  # noqa: PLC0415 - scipy.stats is slow to import

    found: Floats = false_discovery_control(np.asarray(p_values, dtype=np.float64))
    return found


def e_benjamini_hochberg(log_e: Sequence[float], level: float) -> list[bool]:
    """Which of several e-values (as logs) are discoveries at a false discovery rate (Wang and Ramdas 2022).

    Valid under any dependence between the e-values, which is why a scorecard over endpoints uses it.
    """
    from online_fdr.e_values import e_bh  # noqa: PLC0415

    return list(e_bh([_value(one) for one in log_e], level))


def e_lond(log_e: Iterable[float], level: float) -> list[bool]:
    """Decisions on e-values (as logs) that arrive one after another, never revised (Xu and Ramdas 2024).

    For audits of one endpoint day after day. The level left falls with every audit that finds nothing.
    """
    from online_fdr.e_values import ELond  # noqa: PLC0415

    running = ELond(level)
    return [running.test_one(_value(one)) for one in log_e]


def _value(log_e: float) -> float:
    if np.isnan(log_e):
        raise ValueError("an e-value that is not a number decides nothing")
    return float(np.exp(min(log_e, _MOST)))

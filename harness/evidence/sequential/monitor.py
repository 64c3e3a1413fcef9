"""One endpoint watched day after day: a detector that starts anew with every audit, for changes whose day nobody knows."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from harness.evidence.clustered import Floats


def detector_path(log_e: Iterable[float], start: float = -math.inf) -> Floats:
    """Log of the e-detector after each audit, given the log e-value of each, ``[audits]``.

    M_n = e_n (1 + M_{n-1}), the sum over all days of the evidence since that day (Shin, Ramdas and Rinaldo 2023). Raise an
    alarm when it reaches 1/alpha: while the host stays honest, the mean number of audits until a false alarm is at least
    1/alpha, whatever the dependence between days, as long as each e-value has a mean of at most 1 given the past. One audit
    that ended gives one e-value: its evidence at the moment it stopped. ``start`` is the last value of an earlier path,
    so that nothing else has to be kept. It controls the frequency of false alarms, not their probability ever: for that,
    e-LOND or a single e-process. A NaN is refused: an audit that failed is left out, and that must be said.
    """
    running, path = start, []
    for one in log_e:
        if math.isnan(one):
            raise ValueError("an e-value that is not a number decides nothing")
        running = one + float(np.logaddexp(0.0, running))
        path.append(running)
    return np.array(path)

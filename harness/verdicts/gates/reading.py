"""Where a number stands to its bound: three answers, with the error rate of a whole policy."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np

from harness.comparisons.baselines import Baseline, digests_of
from harness.comparisons.distributions.documents import DocumentSums, difference, ladder_at, over_ladder, ratio
from harness.comparisons.distributions.metrics import METRICS, QUANTILES, Metric
from harness.comparisons.model import Result
from harness.comparisons.table import TokenTable
from harness.evidence.clustered import LEVEL, Estimate, cluster_note, positive_mean_interval
from harness.evidence.contrasts import mean_of_sums
from harness.evidence.equivalence import Side, accusing_level, clusters_needed
from harness.verdicts.gates.expression import BITS, Gate
from harness.verdicts.gates.policy import Policy

Status = Literal["passed", "failed", "undecided"]
_WORST: tuple[Status, ...] = ("failed", "undecided", "passed")
_MOST_DOCUMENTS = 100_000
_HOPELESS = "the number lies on its bound: no suite of this kind would decide"
_UNMEASURED = "where {} was not measured the candidate moves further; measure it on all items (--profile full)"
_ENOUGH_SHARED = 0.8  # with fewer of a baseline's documents nothing passes: what has no pair may be what got worse
_BETWEEN = "outside, but not by the wider interval that a failure needs"
_SAME_MODEL = 1e-3  # no two quantizations agree so closely in every document; one model on two machines does
_STATUS: dict[Side, Status] = {"inside": "passed", "outside": "failed", "inconclusive": "undecided"}


@dataclass(frozen=True)
class Yard:
    """What a candidate's gates are read against. ``honest`` and ``rungs`` may cover fewer documents than the table."""

    table: TokenTable
    honest: dict[str, TokenTable] = field(default_factory=dict)
    rungs: dict[float, TokenTable] = field(default_factory=dict)
    baseline: Baseline | None = None

    @cached_property
    def sums(self) -> DocumentSums:
        """The candidate's sums per document, for every policy that is read on it."""
        return DocumentSums.of(self.table)


class GateReading(Result):
    """One gate on one candidate.

    ``value`` with its 95 % interval is what the bound is held against: the number itself, or its ratio or difference to
    the yardstick named in ``against``. ``fail_low``/``fail_high`` is the wider interval whose near end must be outside
    before the gate fails. ``needed`` is about how many documents would decide in place
    of ``documents``, 0 where that cannot be said.
    """

    gate: Gate
    status: Status
    value: float
    low: float
    high: float
    fail_low: float
    fail_high: float
    unit: str
    against: str
    documents: int
    needed: int
    note: str

    @property
    def times(self) -> bool:
        """Whether the value is a ratio to the yardstick."""
        return self.gate.form == "ratio" or self.gate.key == BITS

    @property
    def more(self) -> int:
        """About how many documents more would decide."""
        return max(self.needed - self.documents, 1) if self.needed and self.status == "undecided" else 0


class PolicyReading(Result):
    """All gates of a policy on one candidate; ``documents_missing`` names how many of the baseline's have no pair here."""

    policy: Policy
    gates: tuple[GateReading, ...]
    frozen: bool  # the policy was part of the plan, before anything was measured

    @property
    def status(self) -> Status:
        """Failed if a gate fails, passed if all pass."""
        return next(status for status in _WORST if any(gate.status == status for gate in self.gates))


@dataclass(frozen=True, slots=True)
class _Measure:
    """A number that a gate bounds: an estimate per confidence level, and how far it stands from the bound in errors."""

    at: Callable[[float], Estimate]
    distance: Callable[[float, float], float]  # of value and bound, on the scale of the estimate's error
    unit: str
    against: str = ""
    bound: float | None = None  # where it is not the gate's own
    note: str = ""
    counted: bool = False  # where nothing varied, the rule of three bounds it
    doubt: str = ""  # why a pass on the documents of the yardstick is none on the others
    accusing: Callable[[float], Estimate] | None = None  # what a failure is read by, where that is another interval


def read_policy(policy: Policy, yard: Yard, *, frozen: bool) -> PolicyReading:
    """Read every gate.

    The null of a failure is "the true number is at its bound or better"; documents are the unit. A gate passes if the
    far end of its interval at level 1 - 2 alpha is inside, and fails if the near end at level 1 - 2 alpha/(3 K) is
    outside, for K gates: so a candidate that meets all K bounds fails the policy with probability at most alpha
    (Bonferroni, and a factor of three for what intervals on few documents miss; multiples of the band are failed by a still
    wider interval, decision 0009), and one that misses any of them passes with probability about alpha (all K must pass).
    A NaN anywhere is undecided.
    """
    if yard.table.violations or yard.table.non_finite:
        broken = "logits are not finite, or rule out ids that the reference can emit: no mean stands for all tokens"
        return PolicyReading(policy=policy, gates=tuple(_unread(gate, broken) for gate in policy.gates), frozen=frozen)
    readings = [_read(gate, yard, policy) for gate in policy.gates]
    return PolicyReading(policy=policy, gates=tuple(readings), frozen=frozen)


def _read(gate: Gate, yard: Yard, policy: Policy) -> GateReading:
    measure = _measure(gate, yard)
    if isinstance(measure, str):
        return _unread(gate, measure)
    shown = measure.at(1 - 2 * policy.alpha)
    strictly = accusing_level(policy.alpha, len(policy.gates))
    strict = (measure.accusing or measure.at)(strictly)
    bound = gate.bound if measure.bound is None else measure.bound
    upper = gate.upper if measure.bound is None else True  # bits from below are a divergence from above
    status = _STATUS[_side(shown, strict, bound, upper=upper)]
    beyond = shown.low > bound if upper else shown.high < bound
    doubt = measure.doubt if status == "passed" else ""
    status = "undecided" if doubt else status
    distance = measure.distance(shown.value, bound)
    deciding = strict if (shown.value > bound) is upper else shown
    reach = measure.distance(deciding.low if shown.value > bound else deciding.high, shown.value)
    needed = clusters_needed(distance, reach, shown.clusters) if shown.clusters > 1 else 0
    if shown.se == 0 and measure.counted and 0 < abs(shown.value - bound) < 1:  # by the rule of three
        needed = math.ceil(math.log(policy.alpha) / math.log(1 - abs(shown.value - bound)))
    between = _BETWEEN if beyond and status == "undecided" else ""
    hopeless = _HOPELESS if needed > _MOST_DOCUMENTS and status == "undecided" else ""
    return GateReading(
        gate=gate, status=status, value=shown.value, low=shown.low, high=shown.high, fail_low=strict.low,
        fail_high=strict.high, unit=measure.unit, against=measure.against, documents=shown.clusters,
        needed=needed if status == "undecided" and not doubt and not hopeless else 0,
        note="; ".join(filter(None, (measure.note, doubt, between, hopeless, shown.note))),
    )  # fmt: skip


def _unread(gate: Gate, why: str) -> GateReading:
    nan = math.nan
    return GateReading(gate=gate, status="undecided", value=nan, low=nan, high=nan, fail_low=nan, fail_high=nan, unit="",
                       against="", documents=0, needed=0, note=why)  # fmt: skip


def _side(shown: Estimate, strict: Estimate, bound: float, *, upper: bool) -> Side:
    if any(math.isnan(x) for x in (shown.low, shown.high, strict.low, strict.high)):
        return "inconclusive"
    if shown.high <= bound if upper else shown.low >= bound:
        return "inside"
    return "outside" if (strict.low > bound if upper else strict.high < bound) else "inconclusive"


def _measure(gate: Gate, yard: Yard) -> _Measure | str:
    if gate.key == BITS:
        return _bits(gate, yard)
    if gate.form == "absolute":
        return _absolute(gate, yard.table)
    if gate.yardstick == "band":
        return _against_band(gate, yard)
    return _against_baseline(gate, yard)


def _absolute(gate: Gate, table: TokenTable) -> _Measure:
    if gate.key in QUANTILES:
        quantile = QUANTILES[gate.key]
        return _Measure(lambda level: quantile.estimate(table, level), _plain, "nat/token")
    metric = METRICS[gate.key]
    if metric.counted:
        still = bool((table.column("kl_ref_cand") == 0).all())  # the same distributions: a fact, not luck
        return _Measure(
            lambda level: _certain(_rare(metric, table, level), level, counted=not still), _scale_of(metric), metric.unit,
            counted=not still,
        )  # fmt: skip
    return _Measure(
        lambda level: _certain(metric.estimate(table, level), level, counted=False), _scale_of(metric), metric.unit
    )


def _rare(metric: Metric, table: TokenTable, level: float) -> Estimate:
    """A share of counted events with its interval on the logarithm of the rarer outcome.

    Events that gather in few documents make the mean skewed; a symmetric interval would be too short on the side where a
    gate passes.
    """
    values = metric.values(table)
    higher = metric.better == "higher"
    found = positive_mean_interval(1 - values if higher else values, table.cluster, level)
    if not higher:
        return replace(found, high=min(found.high, 1.0))
    return replace(found, value=1 - found.value, low=max(1 - found.high, 0.0), high=1 - found.low)


def _scale_of(metric: Metric) -> Callable[[float, float], float]:
    """The scale on which the estimate's error lives."""
    if metric.scale == "complement" or (metric.counted and metric.better == "higher"):
        return _log_of_rest
    return _log if metric.counted or metric.scale in {"log", "root", "exp"} else _plain


def _bits(gate: Gate, yard: Yard) -> _Measure | str:
    if not yard.rungs:
        return "this run measured no ladder"
    steps = sorted(yard.rungs)
    if not steps[0] <= gate.bound <= steps[-1]:
        return f"the ladder of this run goes from {steps[0]:g} to {steps[-1]:g} bits"
    tables = _shared([yard.table, *(yard.rungs[step] for step in steps)])
    if not tables:
        return "the ladder was not measured on the same items"
    ours, *rungs = (DocumentSums.of(table) for table in tables)
    ladder = dict(zip(steps, rungs, strict=True))
    means = [rung.kl.mean for rung in rungs]
    if any(later >= earlier for earlier, later in itertools.pairwise(means)):
        return "the ladder is not monotone on these items"
    name = f"round to nearest at {gate.bound:g} bits"
    doubt = _rest_of_ladder(yard, ladder_at(ladder, gate.bound).high, yard.rungs[steps[0]])
    return _Measure(lambda level: over_ladder(ours, ladder, gate.bound, level), _log, "times", name, 1.0, doubt=doubt)


def _against_band(gate: Gate, yard: Yard) -> _Measure | str:
    if not yard.honest:
        return "this run measured no honest band"
    pairs = []
    for label, member in yard.honest.items():
        both = _shared([yard.table, member])
        if both and not member.non_finite:
            pairs.append((label, DocumentSums.of(both[0]), DocumentSums.of(both[1])))
    if not pairs:
        return "the honest band was not measured on the same items"
    metric = METRICS[gate.key]
    sign = 1 if gate.upper else -1
    # The member that moves furthest towards the bound, as the band of the verdict is its widest member.
    name, ours, theirs = max(pairs, key=lambda pair: sign * _published(gate, pair[2]))
    if gate.form == "ratio" and metric.scale != "exp" and theirs.sums(metric).total.sum() == 0:
        return f"no honest configuration moved {gate.key} at all"
    doubt = _doubt(gate, yard, yard.honest[name], gate.bound, "the honest band")
    return _paired(gate, ours, theirs, f"'{name}'", "", doubt, unseen=True)


def _against_baseline(gate: Gate, yard: Yard) -> _Measure | str:
    baseline, sums = yard.baseline, yard.sums
    if baseline is None:
        return "no baseline was given"
    digests = digests_of(list(yard.table.sequences))
    shared = [unit for unit in sums.units if baseline.digest_of(unit) == digests[unit]]
    if not shared:
        return "no document could be paired with the baseline's"
    missing, doubt = len(baseline.documents) - len(shared), ""
    note = f"{missing} documents of the baseline have no pair here" if missing else ""
    if len(shared) < _ENOUGH_SHARED * len(baseline.documents):
        doubt = f"only {len(shared)} of {len(baseline.documents)} documents could be paired"
    others = [unit for unit in sums.units if unit not in set(shared)]
    theirs = [unit for unit in baseline.documents if unit not in set(shared)]
    if others and theirs and not doubt:
        ours_rest, theirs_rest = sums.on(others).kl, baseline.sums(theirs).kl
        factor = gate.bound if gate.form == "ratio" and gate.key == "kl_ref_cand" else 1.0
        if mean_of_sums(ours_rest).low > max(factor, 1.0) * mean_of_sums(theirs_rest).high:
            doubt = "the documents that could not be paired moved further"
    return _paired(gate, sums.on(shared), baseline.sums(shared), f"baseline '{baseline.label}'", note, doubt)


def _paired(
    gate: Gate,
    ours: DocumentSums,
    theirs: DocumentSums,
    against: str,
    note: str,
    doubt: str = "",
    *,
    unseen: bool = False,
) -> _Measure:
    """``unseen``: a failure allows for a document that was not drawn (see ``ends``)."""
    metric = METRICS[gate.key]
    if gate.form == "ratio":
        return _Measure(
            lambda level: ratio(metric, ours, theirs, level), _log, "times", against, None, note, doubt=doubt,
            accusing=lambda level: ratio(metric, ours, theirs, level, unseen=unseen),
        )  # fmt: skip
    # Nearly the same divergence in every document: the same model, on this machine or another, and not luck.
    same = bool(np.allclose(ours.kl.total, theirs.kl.total, rtol=_SAME_MODEL, atol=1e-6))
    counted = metric.counted and not same
    return _Measure(
        lambda level: _certain(difference(metric, ours, theirs, level), level, counted=counted), _plain, metric.unit,
        against, None, note, counted, doubt,
    )  # fmt: skip


def _doubt(gate: Gate, yard: Yard, member: TokenTable, bound: float, what: str) -> str:
    """What speaks against a pass on the documents where the yardstick was measured: the candidate on all the others."""
    others = {s.key for s in yard.table.sequences} - {s.key for s in member.sequences}
    if not others:
        return ""
    metric = METRICS[gate.key]
    rest, limit = (
        _certain(metric.estimate(table), LEVEL, counted=False) for table in (yard.table.restrict(others), member)
    )
    scaled = bound if gate.form == "ratio" else 1.0
    shift = 0.0 if gate.form == "ratio" else bound
    outside = rest.low > limit.high * scaled + shift if gate.upper else rest.high < limit.low * scaled + shift
    return _UNMEASURED.format(what) if outside or any(map(math.isnan, (rest.low, limit.high))) else ""


def _rest_of_ladder(yard: Yard, limit: float, rung: TokenTable) -> str:
    others = {s.key for s in yard.table.sequences} - {s.key for s in rung.sequences}
    if not others:
        return ""
    rest = _certain(METRICS["kl_ref_cand"].estimate(yard.table.restrict(others)), LEVEL, counted=False)
    return "" if rest.low <= limit else _UNMEASURED.format("the ladder")


def _published(gate: Gate, sums: DocumentSums) -> float:
    metric = METRICS[gate.key]
    mean = sums.sums(metric).mean
    return 1 - mean if metric.scale == "complement" else mean


def _shared(tables: list[TokenTable]) -> list[TokenTable]:
    """The tables on the items that all of them hold; empty where there is none."""
    keys = set.intersection(*({sequence.key for sequence in table.sequences} for table in tables))
    return [table.restrict(keys) for table in tables] if keys else []


def _certain(estimate: Estimate, level: float, *, counted: bool) -> Estimate:
    """What can still be said where nothing varied over the documents.

    A share of counted events that was the same in all of G documents is bounded by the rule of three,
    1 - ((1 - level)/2)**(1/G) away. A divergence or loss that is the same on every token is a fact about two equal
    distributions.
    """
    if estimate.se != 0 or math.isnan(estimate.value) or estimate.clusters < 2:
        return estimate
    reach = 1 - ((1 - level) / 2) ** (1 / estimate.clusters) if counted else 0.0
    return replace(
        estimate, low=estimate.value - reach, high=estimate.value + reach, note=cluster_note(estimate.clusters)
    )


def _log(value: float, bound: float) -> float:
    return abs(math.log(value / bound)) if value > 0 and bound > 0 and math.isfinite(value) else 0.0


def _plain(value: float, bound: float) -> float:
    return abs(value - bound) if math.isfinite(value) else 0.0


def _log_of_rest(value: float, bound: float) -> float:
    return _log(1 - value, 1 - bound)

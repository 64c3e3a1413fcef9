"""Vendors' scorecards recomputed: their rates with the intervals that they lack, and what each metric can show at all. Pure.

Rates over several passes repeat the same prompts: intervals hold for these prompts, asked again, and not for others. Passes are
exchangeable under the null that two models are one; that is what the tests between models rest on.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

from harness.comparisons.model import Result
from harness.evidence.multiplicity import holm
from harness.evidence.paired import mcnemar
from harness.evidence.shares import wilson
from harness.evidence.two_sample import exchange_test
from harness.suites.vendor import VendorLoop, VendorRow

#: What the vendors ask for, and under what they speak of a failure ("98 % +- 1"). Rates are written so that more is better.
THRESHOLDS: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "minimax": {"success": (1.0, 1.0), "match": (0.98, 0.97), "schema": (0.98, 0.98), "not error-only": (1.0, 1.0),
                "language": (0.4, 0.4), "scenario": (1.0, 1.0)},
    "k2": {},
    "kimi-schema": {},
}  # fmt: skip
_SIMILAR = 0.98  # MiniMax's threshold of trigger similarity


class RateFacts(Result):
    """One metric of one model. ``mean`` is the mean of the passes' rates, as the vendors publish it; the interval is Wilson's.

    ``meets`` holds the interval against the threshold: ``yes``, ``no``, ``undecided`` or empty where there is none.
    """

    metric: str
    mean: float
    right: int
    of: int
    low: float
    high: float
    ceiling: float
    threshold: float
    meets: str


class ModelFacts(Result):
    """All passes of one model."""

    model: str
    form: str
    loops: int
    notes: tuple[str, ...]
    rates: tuple[RateFacts, ...]
    calls: tuple[int, ...]  # tool calls per pass
    calls_mean: float
    calls_sd: float
    finishes: dict[str, int]
    reasoning: dict[str, int]  # answers by the field that holds their reasoning, where rows are there


class Vacuous(Result):
    """A metric that cannot fail on these passes, and why."""

    metric: str
    reason: str


class Separation(Result):
    """Whether a statistic tells two models apart: exact exchange of whole passes, Holm over all of them."""

    statistic: str
    first: str
    second: str
    first_mean: float
    second_mean: float
    p: float
    adjusted: float
    exact: bool


class Similarity(Result):
    """Trigger similarity (F1 of "called a tool") of one model's passes held against another's.

    From rows exactly, joined by item; from counts alone between ``low`` and ``high``. ``p`` is McNemar's, of items of the first
    pass on which only one calls; NaN without rows.
    """

    first: str
    second: str
    low: float
    high: float
    passes: bool  # whether even the lowest meets the vendor's threshold
    p: float


class VendorFacts(Result):
    """Everything that the files say."""

    models: tuple[ModelFacts, ...]
    vacuous: tuple[Vacuous, ...]
    separations: tuple[Separation, ...]
    similarities: tuple[Similarity, ...]


def vendor_facts(loops: Sequence[VendorLoop]) -> VendorFacts:
    """Recompute the scorecards of all models in these passes."""
    forms: dict[str, dict[str, list[VendorLoop]]] = {}
    for loop in loops:
        forms.setdefault(loop.form, {}).setdefault(loop.model, []).append(loop)
    return VendorFacts(
        models=tuple(_model(name, passes) for models in forms.values() for name, passes in models.items()),
        vacuous=tuple(one for models in forms.values() for one in _vacuous(list(itertools.chain(*models.values())))),
        separations=tuple(_separations(list(forms.values()))),
        similarities=tuple(
            found
            for models in forms.values()
            for first, second in itertools.combinations(models.values(), 2)
            if all(loop.positives >= 0 for loop in (*first, *second)) and (found := _similarity(first, second))
        ),
    )  # fmt: skip


def _metrics(loops: Sequence[VendorLoop]) -> list[str]:
    return list(dict.fromkeys(metric for loop in loops for metric in loop.tallies))


def _model(name: str, loops: Sequence[VendorLoop]) -> ModelFacts:
    calls = tuple(loop.calls for loop in loops if loop.calls >= 0)
    mean = sum(calls) / len(calls) if calls else math.nan
    spread = math.sqrt(sum((one - mean) ** 2 for one in calls) / (len(calls) - 1)) if len(calls) > 1 else math.nan
    finishes: dict[str, int] = {}
    fields: dict[str, int] = {}
    for loop in loops:
        for finish, count in loop.finishes.items():
            finishes[finish] = finishes.get(finish, 0) + count
        for row in loop.rows:
            for field in row.reasoning or ("none",):
                fields[field] = fields.get(field, 0) + 1
    return ModelFacts(
        model=name, form=loops[0].form, loops=len(loops), notes=tuple(sorted({loop.note for loop in loops} - {""})),
        rates=tuple(_rate(metric, loops) for metric in _metrics(loops)), calls=calls,
        calls_mean=mean, calls_sd=spread, finishes=finishes, reasoning=fields,
    )  # fmt: skip


def _rate(metric: str, loops: Sequence[VendorLoop]) -> RateFacts:
    tallies = [loop.tallies[metric] for loop in loops if metric in loop.tallies]
    right, of = sum(one.right for one in tallies), sum(one.of for one in tallies)
    rates = [one.right / one.of for one in tallies if one.of]
    low, high = wilson(right, of)
    threshold, failing = THRESHOLDS[loops[0].form].get(metric, (math.nan, math.nan))
    meets = ""
    if of and not math.isnan(threshold):
        meets = "yes" if low >= threshold else "no" if high < failing else "undecided"
    return RateFacts(
        metric=metric, mean=sum(rates) / len(rates) if rates else math.nan, right=right, of=of, low=low, high=high,
        ceiling=sum(one.most for one in tallies) / of if of else math.nan, threshold=threshold, meets=meets,
    )  # fmt: skip


def _vacuous(loops: Sequence[VendorLoop]) -> list[Vacuous]:
    """Metrics that never failed on any pass of any model, or that read a field which these hosts do not send."""
    found = []
    for metric in _metrics(loops):
        tallies = [loop.tallies[metric] for loop in loops if metric in loop.tallies]
        right, of = sum(one.right for one in tallies), sum(one.of for one in tallies)
        if not of:
            found.append(Vacuous(metric=metric, reason="nothing was ever checked"))
        elif all(one.right == one.most for one in tallies):
            models = len({loop.model for loop in loops})
            whose = "one model" if models == 1 else f"{models} models"
            ceiling = "" if right == of else ", all that can count"
            reason = (
                f"{right:,} of {of:,}{ceiling} in {len(tallies)} passes of {whose}: nothing here shows that it can fail"
            )
            found.append(Vacuous(metric=metric, reason=reason))
    fields = {field for loop in loops for row in loop.rows for field in row.reasoning}
    if fields and "reasoning" not in fields and loops[0].form == "minimax":
        reason = f"the verifier reads 'reasoning', these hosts send {', '.join(sorted(fields))}: its count cannot rise"
        found = [one for one in found if one.metric != "not error-only"]
        found.append(Vacuous(metric="not error-only", reason=reason))
    return found


def _separations(forms: Sequence[Mapping[str, Sequence[VendorLoop]]]) -> list[Separation]:
    """Every statistic that varies, between every two models of one verifier; Holm over all of them."""
    found = [one for models in forms for one in _separated(models)]
    adjusted = holm([one.p for one in found]).tolist()
    return [one.model_copy(update={"adjusted": value}) for one, value in zip(found, adjusted, strict=True)]


def _separated(models: Mapping[str, Sequence[VendorLoop]]) -> list[Separation]:
    loops = [loop for passes in models.values() for loop in passes]
    statistics: dict[str, dict[str, list[float]]] = {
        metric: {
            name: [loop.tallies[metric].right / loop.tallies[metric].of for loop in passes
                   if metric in loop.tallies and loop.tallies[metric].of]
            for name, passes in models.items()
        }
        for metric in _metrics(loops)
    }  # fmt: skip
    statistics["tool calls per pass"] = {
        name: [float(loop.calls) for loop in passes if loop.calls >= 0] for name, passes in models.items()
    }
    found: list[Separation] = []
    for statistic, values in statistics.items():
        if len({one for passes in values.values() for one in passes}) < 2:
            continue
        for first, second in itertools.combinations(models, 2):
            if values[first] and values[second]:
                p, exact = exchange_test(values[first], values[second])
                means = (sum(values[first]) / len(values[first]), sum(values[second]) / len(values[second]))
                found.append(Separation(statistic=statistic, first=first, second=second, first_mean=means[0],
                                        second_mean=means[1], p=p, adjusted=p, exact=exact))  # fmt: skip
    return found


def _similarity(first: Sequence[VendorLoop], second: Sequence[VendorLoop]) -> Similarity | None:
    """F1 over the passes of two models, pass by pass in their order; None where rows share no question."""
    bounds, p = [], math.nan
    for one, other in zip(first, second, strict=False):
        if one.rows and other.rows:
            both, ours, theirs, shared = _agreement(one.rows, other.rows)
            if not shared:
                return None
            bounds.append((2 * both / (ours + theirs) if ours + theirs else math.nan,) * 2)
            if math.isnan(p):
                p = mcnemar(ours - both, theirs - both).exact
        else:
            bounds.append(_bounds(one, other))
    low, high = (sum(bound[end] for bound in bounds) / len(bounds) for end in (0, 1))
    return Similarity(first=first[0].model, second=second[0].model, low=low, high=high, passes=low >= _SIMILAR, p=p)


def _agreement(ours: Sequence[VendorRow], theirs: Sequence[VendorRow]) -> tuple[int, int, int, int]:
    """Items on which both call, the first does, the second does, and all: of those that both were asked alike and answered."""
    others = {row.item: row for row in theirs if not row.failed}
    shared = [
        (row.finish == "tool_calls", others[row.item].finish == "tool_calls")
        for row in ours
        if not row.failed and row.item in others and row.prompt == others[row.item].prompt
    ]
    return sum(a and b for a, b in shared), sum(a for a, _ in shared), sum(b for _, b in shared), len(shared)


def _bounds(one: VendorLoop, other: VendorLoop) -> tuple[float, float]:
    """The smallest and largest F1 that the counts of two passes allow: answers that call overlap more or less."""
    total = one.positives + other.positives
    if not total:
        return math.nan, math.nan
    wanted = max(one.wanted, other.wanted)
    least = max(one.hits + other.hits - wanted, 0) if one.hits >= 0 and wanted >= 0 else 0
    return 2 * least / total, 2 * min(one.positives, other.positives) / total

"""Told log-probabilities: honest hosts, builds, other temperatures, hosts that tell of another model than they serve."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from scipy.stats import binom

from harness.comparisons.audit import weigh_replies
from harness.comparisons.logprobs import logprob_facts
from harness.verdicts.audit import judge_replies, settled
from harness.verdicts.logprobs import judge_logprobs, settled_logprobs
from tests.support import evidence as support
from tests.support.evidence import evidence_of
from tests.support.worlds import World, make_world

WORLD = make_world(contexts=30)
FAMILIES = {"a": "quantization", "b": "quantization", "cold": "template"}
HONEST = ("p", "h")


def rows_of(served, told, requests=30, seed=1, length=16):
    """Evidence of a host that serves one configuration and tells of another."""
    given = told if isinstance(told, np.ndarray) else WORLD.distribution(told)
    drawn = served if isinstance(served, np.ndarray) else WORLD.distribution(served)
    return evidence_of(WORLD, drawn, tuple(FAMILIES), HONEST, requests, length, seed, told=given)


def facts_of(served, told, **options):
    return logprob_facts(rows_of(served, told, **options), HONEST, FAMILIES, 0.01)


@pytest.mark.parametrize("served", ["p", "h"])
def test_an_honest_host_is_within_the_band(served):
    """The reference itself and an honest stack: cleared, with the builds that would have been found."""
    facts = facts_of(served, served)
    verdict = judge_logprobs(facts, ("b",))
    assert verdict.outcome == "WITHIN", verdict.reason
    assert facts.over_at == facts.forged_at == 0
    assert facts.low <= facts.distance <= facts.high
    assert facts.distance <= 1.2 * facts.band
    assert "b after" in verdict.reason
    assert settled_logprobs(facts, ("b",)) is None


@pytest.mark.parametrize(("served", "cause"), [("a", "quantization"), ("b", "quantization"), ("c", "unlisted")])
def test_a_build_is_found_at_once_and_named_if_it_is_listed(served, cause):
    """Few requests are enough; the distance is the build's; nothing is left of it once it is held against itself."""
    facts = facts_of(served, served)
    verdict = judge_logprobs(facts, ("b",))
    assert (verdict.outcome, verdict.cause) == ("BEYOND", cause)
    assert 6 <= facts.over_at <= 26
    truth = WORLD.divergence(served)
    assert 0.5 * truth < facts.distance < 1.3 * truth
    if cause == "quantization":
        assert facts.builds[0].name == served
        assert facts.builds[0].left < 0.02 * facts.distance
        assert settled_logprobs(facts, ("b",))
    else:
        assert not settled_logprobs(facts, ("b",))


def shaken(name, size, seed):
    """A configuration with rounding on top that nothing repeats, ``[contexts, ids]``."""
    z = WORLD.logs[WORLD.names.index(name)]
    z = z + size * np.random.default_rng(seed).normal(size=z.shape)
    return np.exp(z - np.logaddexp.reduce(z, axis=-1, keepdims=True))


def test_a_build_is_named_under_rounding_that_nothing_repeats():
    """As where an engine rounds activations, too: more than half is left, and the build lies in what is told once."""
    served = shaken("a", 0.2, 5)
    facts = facts_of(served, served, requests=40)
    best = facts.builds[0]
    assert (best.name, facts.named) == ("a", True)
    assert best.left > 0.5 * facts.distance
    assert 0.75 < best.contained_low < best.contained < best.contained_high < 1.33
    verdict = judge_logprobs(facts)
    assert (verdict.outcome, verdict.cause) == ("BEYOND", "quantization")
    assert "the rest has no listed direction" in verdict.reason


@pytest.mark.parametrize(("base", "size"), [("p", 0.25), ("p", 0.6), ("c", 0.0), ("c", 0.3)])
def test_rounding_alone_and_unlisted_builds_are_never_named(base, size):
    """Far enough to be accused, in no direction of the bank, over fresh draws."""
    for seed in range(12):
        served = shaken(base, size, seed)
        facts = facts_of(served, served, requests=24, seed=seed)
        assert facts.over_at, seed
        assert not facts.named, (seed, facts.builds[0])


def test_a_cache_is_named_by_its_size_and_half_of_its_direction():
    """What is rounded anew at every token comes out the same in part: enough of it names, none of it does not."""
    rng = np.random.default_rng(3)
    base = WORLD.logs[0]
    same, again, other = (rng.normal(size=base.shape) for _ in range(3))
    logits = {"cache": base + 0.4 * same + 0.33 * again, "host": base + 0.4 * same + 0.33 * other}
    logits["alien"] = base + 0.5 * rng.normal(size=base.shape)
    made = np.stack([z - np.logaddexp.reduce(z, axis=-1, keepdims=True) for z in logits.values()])
    world = World((*WORLD.names, *logits), np.concatenate([WORLD.logs, made]))
    families = FAMILIES | {"cache": "kv-cache"}
    for served, named in (("host", True), ("alien", False)):
        told = world.distribution(served)
        rows = evidence_of(world, told, tuple(families), HONEST, 30, 16, 1, told=told)
        facts = logprob_facts(rows, HONEST, families, 0.01)
        verdict = judge_logprobs(facts)
        assert (verdict.outcome, verdict.cause) == ("BEYOND", "kv-cache" if named else "unlisted"), verdict.reason
        assert ("not rounded twice alike" in verdict.reason) == named


def test_an_audit_ends_when_log_probabilities_name_what_the_text_does_not():
    """The text accuses without a name: more is asked until something names it, or log-probabilities do."""
    facts = weigh_replies(rows_of("b", "b", requests=28), HONEST, FAMILIES, ("a",), (), 0.01, 1)
    unnamed = facts.weights.explanations[0].model_copy(update={"lead": 0.0})
    weights = facts.weights.model_copy(update={"explanations": (unnamed,)})
    assert facts.weights.crossed_at
    assert settled(facts.model_copy(update={"weights": weights}), ("b",))
    assert not settled(facts.model_copy(update={"weights": weights, "logprobs": None}), ("b",))


def test_a_host_does_not_choose_its_own_charge():
    """It serves an unlisted model and tells of a listed build: accused, not named, and more is asked."""
    facts = facts_of(WORLD.tempered(0.4).distribution("c"), "b", requests=40)
    assert facts.over_at
    assert facts.forged_at
    verdict = judge_logprobs(facts)
    assert (verdict.outcome, verdict.cause) == ("BEYOND", "unlisted")
    assert "quantization" not in verdict.reason
    assert settled_logprobs(facts, ()) is False


def test_a_host_that_was_not_told_to_be_neutral_is_not_accused_by_a_part_of_a_build():
    """Penalties of its own may make the rest, or all of it."""
    served = shaken("a", 0.2, 5)
    facts = facts_of(served, served, requests=40)
    assert judge_logprobs(facts).cause == "quantization"
    assert judge_logprobs(facts, neutral=False).outcome == "INCONCLUSIVE"


def test_told_logarithms_of_another_temperature_are_called_that():
    """A multiple of the reference's, and of no build's; a host that samples so and tells so forges nothing."""
    cold = WORLD.tempered(1.3).distribution("p")
    facts = facts_of(cold, cold)
    assert facts.temperature == pytest.approx(1 / 1.3, abs=0.02)
    assert judge_logprobs(facts).cause == "sampling"
    assert facts.forged_at == 0
    assert math.isnan(facts_of("b", "b").temperature)


def test_a_part_of_the_requests_is_told_as_a_part():
    """A quarter routed to a build: named, with its share."""
    rows, bad = rows_of("p", "p", requests=40), rows_of("b", "b", requests=40)
    mixed = {
        name: [bad[name][k] if k % 4 == 0 else part for k, part in enumerate(parts)] for name, parts in rows.items()
    }
    facts = logprob_facts(mixed, HONEST, FAMILIES, 0.01)
    verdict = judge_logprobs(facts)
    assert (verdict.outcome, verdict.cause) == ("BEYOND", "quantization")
    assert 0.15 < facts.builds[0].share < 0.45
    assert "% of requests" in verdict.reason


def test_a_host_that_tells_of_another_model_than_it_serves_is_not_cleared():
    """Made-up values agree with the reference; the text does not agree with them."""
    facts = facts_of("b", "p", requests=40)
    verdict = judge_logprobs(facts, ("b",))
    assert facts.over_at == 0
    assert (verdict.outcome, verdict.cause) == ("BEYOND", "protocol")
    assert judge_logprobs(facts, ("b",), neutral=False).outcome == "INCONCLUSIVE"
    warm = facts_of(WORLD.tempered(0.7).distribution("p"), "p", requests=60)
    assert warm.forged_at  # raw values under another temperature look the same; the sampler's own test names it


def test_false_alarms_stay_under_alpha():
    """Honest stacks and the reference, both accusations together, over fresh draws; exact binomial bound."""
    count, alpha = 80, 0.1
    wrong = 0
    for seed in range(count):
        rows = rows_of("h" if seed % 2 else "p", "h" if seed % 2 else "p", requests=12, seed=seed, length=8)
        facts = logprob_facts(rows, HONEST, FAMILIES, alpha)
        wrong += bool(facts.over_at or facts.forged_at)
    assert wrong <= binom.ppf(0.999, count, alpha)


def test_a_host_that_tells_nothing_has_no_such_axis():
    """Neither accused nor cleared by it; one that tells has it, last, and an accusation there settles an audit."""
    silent = evidence_of(WORLD, WORLD.distribution("p"), tuple(FAMILIES), HONEST, 8, 8, 1)
    assert logprob_facts(silent, HONEST, FAMILIES, 0.01) is None
    for rows, axes in ((silent, 2), (rows_of("a", "a", requests=28), 3)):
        facts = weigh_replies(rows, HONEST, FAMILIES, ("a",), (), 0.01, 1)
        found = judge_replies(facts)
        assert len(found) == axes
        if axes > 2:
            assert (found[0].outcome, found[2].outcome) == ("INCONCLUSIVE", "BEYOND")
            assert settled(facts, ("b",))


@pytest.mark.parametrize("digits", [2, 4])
def test_rounded_values_are_not_taken_for_another_model(digits, monkeypatch):
    """Few digits are what some gateways leave: likeliest ids then are told alike, and count together."""
    monkeypatch.setattr(support, "tell", partial(support.tell, digits=digits))
    for seed in range(4):
        facts = facts_of("p", "p", seed=seed, requests=60)
        assert facts.over_at == facts.forged_at == 0
        assert facts.log_forged < math.log(10.0)


def test_a_host_that_tells_of_some_tokens_only_is_not_cleared():
    """It could choose which."""
    rows = rows_of("p", "p", requests=60)
    for name in rows:
        for part in rows[name][::2]:
            part["told"] = np.nan
    facts = logprob_facts(rows, HONEST, FAMILIES, 0.01)
    verdict = judge_logprobs(facts, ("b",))
    assert verdict.outcome == "INCONCLUSIVE"
    assert "% of the tokens only" in verdict.reason


def test_what_is_told_where_a_reply_falls_silent_counts_for_nothing():
    """Pieces of characters are left out of lists: the last place may belong to a token that nobody sees."""
    rows = rows_of("p", "p")
    for part in rows["p"]:
        part["told"][part["silent"] == 1] = 12.0
    facts = logprob_facts(rows, HONEST, FAMILIES, 0.01)
    assert judge_logprobs(facts, ("b",)).outcome == "WITHIN"
    assert facts.distance < 1e-3


def test_few_requests_clear_nobody():
    """Silence is no statement."""
    facts = facts_of("p", "p", requests=3)
    verdict = judge_logprobs(facts, ("b",))
    assert verdict.outcome == "INCONCLUSIVE"
    assert "ask more" in verdict.reason


def test_tokens_outside_the_list_that_come_with_a_placeholder_are_not_told_to_be_impossible(monkeypatch):
    """OpenAI's form: -9999 for a token that is not among the likeliest. An honest host sends it, and is not accused."""
    plain = support.tell

    def short(served, tokens, **_):
        listed = plain(served, tokens, count=5)
        outside = listed.logs[:, 0] < np.nanmin(listed.logs[:, 1:], axis=1)
        listed.logs[outside, 0] = -9999.0
        return listed

    monkeypatch.setattr(support, "tell", short)
    for seed in range(3):
        facts = facts_of("p", "p", seed=seed, requests=60)
        assert facts.forged_at == facts.over_at == 0, facts.log_forged


def test_a_host_that_tells_the_sent_token_alone_is_not_accused_by_that(monkeypatch):
    """The only id of a list is always its likeliest: that says nothing."""
    monkeypatch.setattr(support, "tell", partial(support.tell, count=0))
    facts = facts_of("p", "p", requests=60)
    assert facts.forged_at == 0


@pytest.mark.parametrize("silent", [-1, -2])
def test_silent_ids_that_a_host_cannot_name_are_not_held_against_it(silent, monkeypatch):
    """Left out of its lists, or told by bytes that nobody can look up."""
    plain = support.tell

    def nameless(served, tokens, **_):
        listed = plain(served, tokens, count=10)
        hidden = (listed.ids < support.SILENT) & (listed.ids >= 0)
        listed.ids[hidden] = -1
        if silent == -1:
            listed.logs[hidden] = np.nan
        return listed

    monkeypatch.setattr(support, "tell", nameless)
    for seed in range(3):
        assert facts_of("p", "p", seed=seed, requests=100).forged_at == 0


def test_a_few_far_requests_keep_a_host_from_being_cleared():
    """One in twenty on a 4-bit build: most requests say nothing, and the mean does."""
    rows, bad = rows_of("p", "p", requests=120), rows_of("b", "b", requests=120)
    mixed = {
        name: [bad[name][k] if k % 20 == 7 else part for k, part in enumerate(parts)] for name, parts in rows.items()
    }
    verdict = judge_logprobs(logprob_facts(mixed, HONEST, FAMILIES, 0.01), ("b",))
    assert verdict.outcome != "WITHIN"
    assert "mean distance" in verdict.reason


def test_a_host_that_was_not_told_to_be_neutral_is_only_accused_of_what_is_named():
    """Cut-offs of its own change what it tells; a build that explains it is still one."""
    for told, outcome in (("c", "INCONCLUSIVE"), ("a", "BEYOND")):
        assert judge_logprobs(facts_of(told, told), neutral=False).outcome == outcome

"""From rows to verdicts: honest hosts, listed and unlisted builds, other samplers, lost replies; never a false clearance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from harness.comparisons.audit import audit_bank, weigh_replies
from harness.comparisons.controls import ControlFacts
from harness.comparisons.recut import MovedReplies, RecutFacts, measure_charges
from harness.comparisons.replies import length_ratios, sampler_ratios, weight_ratios
from harness.errors import NumericsError
from harness.evidence.sequential.ratios import TokenRatios
from harness.targets.token_evidence import CUTS, POWERS
from harness.verdicts.audit import judge_replies, lacking, settled
from tests.support.evidence import evidence_of
from tests.support.worlds import make_world

WORLD = make_world(contexts=30)
FAMILIES = {"a": "quantization", "b": "quantization", "other": "template"}
HONEST = ("p", "h")
NEAR = ("a",)


@pytest.fixture(scope="module")
def world():
    """The world with a template fault beside the builds."""
    rng = np.random.default_rng(9)
    logits = WORLD.logs[0] + 0.9 * rng.normal(size=WORLD.logs[0].shape)
    other = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    return type(WORLD)((*WORLD.names, "other"), np.concatenate([WORLD.logs, other[None]]))


def facts_of(world, server, requests=30, length=16, seed=1, lost=(), alpha=0.01, recut=None):
    served = world.distribution(server) if isinstance(server, str) else server
    evidence = evidence_of(world, served, tuple(FAMILIES), HONEST, requests, length, seed)
    for rows in evidence.values():
        for number in lost:
            rows[number] = rows[number][:0]
    return weigh_replies(evidence, HONEST, FAMILIES, NEAR, lost, alpha, seed, recut)


def verdict_of(world, server, **options):
    identity, integrity = judge_replies(facts_of(world, server, **options))
    return identity, integrity


@pytest.mark.parametrize("server", ["p", "h"])
def test_an_honest_host_is_not_accused(world, server):
    """Neither on identity nor on integrity, and the sentence says what was ruled out and what was not."""
    identity, _ = verdict_of(world, server, requests=60)
    many = facts_of(world, server, requests=120)
    _, integrity = judge_replies(many, controls=controls())
    assert (identity.outcome, integrity.outcome) == ("INCONCLUSIVE", "WITHIN")
    assert "no honest and two known-bad controls were run" in identity.reason
    assert "temperature 0.80" in {one.name for one in many.settings if one.excluded}
    assert "temperature 0.5 to " in integrity.reason.split("Not ruled out")[0]
    assert " and 1.02" in integrity.reason.split("Not ruled out")[1]
    assert "Builds ruled out: b" in identity.reason
    assert "Not ruled out: a" in identity.reason
    assert "not listed" in identity.reason


def controls(honest=0, listed=2, unlisted=3):
    """Controls with the requests after which they were accused."""
    return [
        ControlFacts(name=role, role=role, member="b", requests=60, tokens=900, log_e=5.0, found_at=at, axis="identity")
        for role, at in (("honest", honest), ("listed", listed), ("unlisted", unlisted))
    ]


def test_a_host_is_cleared_only_by_a_statement_of_its_own(world):
    """Required builds ruled out and controls as they must be; anything less is inconclusive and says what is missing."""
    facts = facts_of(world, "p", requests=60)
    cleared, _ = judge_replies(facts, required=("b", "other"), controls=controls())
    assert cleared.outcome == "WITHIN"
    assert "Not ruled out: a" in cleared.reason
    for missing, options in {
        "a is not ruled out": {"required": ("a", "b"), "controls": controls()},
        "a known-bad control of": {"required": ("b",), "controls": controls(unlisted=0)},
        "no honest and two known-bad controls were run": {"required": ("b",), "controls": controls()[:2]},
        "holds no build": {"controls": controls()},
    }.items():
        identity, _ = judge_replies(facts, **options)
        assert identity.outcome == "INCONCLUSIVE"
        assert missing in identity.reason
    _, integrity = judge_replies(facts_of(world, "p", requests=120), required=("b",))
    assert "Not cleared: no honest" in integrity.reason
    few, integrity = judge_replies(facts_of(world, "p", requests=1), required=("b",), controls=controls())
    assert (few.outcome, integrity.outcome) == ("INCONCLUSIVE", "INCONCLUSIVE")


def test_text_that_becomes_untestable_takes_earlier_rounds_back(world):
    """A host could otherwise end an audit where it likes."""
    for server in ("p", "b"):
        axes = judge_replies(facts_of(world, server), "A part is kept out of the text.", controls=controls())
        assert {axis.outcome for axis in axes} == {"NOT_TESTABLE"}


def test_nothing_is_cleared_while_either_process_stirs(world):
    """The tolerant process is the slower one; what only the other hears is not silence. Shares that cannot be are none."""
    facts = facts_of(world, "p", requests=60)
    loud = facts.model_copy(update={"weights": facts.weights.model_copy(update={"log_e": 9.0, "log_e_tolerant": 1.0})})
    assert not lacking(facts, ("b",))
    assert "stirs" in lacking(loud, ("b",))
    odd = tuple(one.model_copy(update={"share_high": math.nan}) for one in facts.builds)
    assert "may have served more" in lacking(facts.model_copy(update={"builds": odd}), ("b",))


def test_an_audit_with_lost_replies_goes_on_and_a_host_with_penalties_is_not_called_unlisted(world):
    """Losses can be outweighed by more answers; a host that was not told to be neutral may have penalties of its own."""
    assert settled(facts_of(world, "b"), ("b",))
    assert not settled(facts_of(world, "b", lost=(3,)), ("b",))
    facts = facts_of(world, "b")
    vague = facts.weights.explanations[0].model_copy(update={"lead": 0.0})
    weights = facts.weights.model_copy(update={"explanations": (vague,)})
    for neutral, outcome in ((True, "BEYOND"), (False, "INCONCLUSIVE")):
        axes = judge_replies(facts.model_copy(update={"weights": weights, "neutral": neutral}))
        assert axes[0].outcome == outcome


def test_an_accused_honest_control_takes_every_verdict_back(world):
    """Something else is wrong then: nobody is accused and nobody cleared."""
    for server in ("p", "b"):
        axes = judge_replies(facts_of(world, server), required=("b",), controls=controls(honest=4))
        assert {axis.outcome for axis in axes} == {"INCONCLUSIVE"}
        assert all("honest control" in axis.reason for axis in axes)


@pytest.mark.slow
def test_honest_hosts_are_accused_no_more_often_than_alpha(world):
    """All three processes together: alpha for identity, and alpha for integrity."""
    wrong = 0
    for seed in range(120):
        facts = facts_of(world, "h", requests=12, seed=seed, alpha=0.05)
        wrong += any(process.crossed_at for process in (facts.weights, facts.sampler, facts.length))
    assert wrong <= binom.ppf(0.999, 120, 0.10)


def test_a_listed_build_is_named_with_its_cause(world):
    """BEYOND, quantization, the build, and a certified effect below the truth."""
    facts = facts_of(world, "b", requests=300)
    identity, integrity = judge_replies(facts)
    assert (identity.outcome, identity.cause) == ("BEYOND", "quantization")
    assert "best explained by quantization: b" in identity.reason
    assert integrity.outcome == "NOT_TESTABLE"
    assert 0 < facts.certified < WORLD.divergence("b")
    assert facts.weights.crossed_tokens > 0


def test_a_faulty_prompt_is_named(world):
    """The family of the best member."""
    identity, _ = verdict_of(world, "other", requests=40)
    assert (identity.outcome, identity.cause) == ("BEYOND", "template")


def test_part_of_the_traffic_is_said_to_be_part(world):
    """The share stands in the sentence, and in the interval of the build."""
    routed = np.random.default_rng(3).random(120) < 0.5
    served = np.stack([world.distribution("p"), world.distribution("b")])[routed.astype(int)]
    facts = facts_of(world, served, requests=120)
    identity, _ = judge_replies(facts)
    assert "of requests" in identity.reason
    build = next(one for one in facts.builds if one.name == "b")
    assert build.share_low <= 0.5 <= build.share_high


def test_another_temperature_is_the_samplers_fault_and_not_the_weights(world):
    """Rule 14: identity is judged after the sampler."""
    identity, integrity = verdict_of(world, "cold", requests=120)
    assert identity.outcome == "INCONCLUSIVE"
    assert (integrity.outcome, integrity.cause) == ("BEYOND", "sampling")
    assert any(f"temperature {near}" in integrity.reason for near in ("0.75", "0.80", "0.85"))


def test_a_cut_off_is_the_samplers_fault_and_not_the_weights(world):
    """top_p 0.9, cut as a sampler does."""
    p = world.distribution("p")
    order = np.argsort(-p, axis=-1)
    sorted_p = np.take_along_axis(p, order, -1)
    keep = np.zeros_like(p, dtype=bool)
    np.put_along_axis(keep, order, sorted_p.cumsum(-1) - sorted_p < 0.9, -1)
    cut = np.where(keep, p, 0.0)
    identity, integrity = verdict_of(world, cut / cut.sum(-1, keepdims=True), requests=80)
    assert identity.outcome == "INCONCLUSIVE"
    assert (integrity.outcome, integrity.cause) == ("BEYOND", "sampling")
    assert "top_p 0.9" in integrity.reason


def test_replies_that_end_early_are_found(world):
    """Rule 8: the weights process is blind to it, the length process is not."""
    p = world.distribution("p").copy()
    p[:, 0] += 0.3
    facts = facts_of(world, p / p.sum(-1, keepdims=True), requests=60)
    identity, integrity = judge_replies(facts)
    assert facts.weights.crossed_at == 0
    assert identity.outcome == "INCONCLUSIVE"
    assert (integrity.outcome, integrity.cause) == ("BEYOND", "clipping")
    assert "readily" in integrity.reason


def test_a_named_sampler_ends_an_audit_when_the_weights_were_heard_out(world):
    """Not at the request that accuses it: other weights and prompts move samplers and lengths, too, a little later or earlier."""
    p = world.distribution("p").copy()
    p[:, 0] += 0.3
    for served, process in ((world.distribution("cold"), "sampler"), (p / p.sum(-1, keepdims=True), "length")):
        facts = facts_of(world, served, requests=120)
        heard = getattr(facts, process)
        late = heard.model_copy(update={"crossed_at": 61})
        loud = facts.weights.model_copy(update={"log_e": 3.0})
        assert settled(facts, ("b",))
        for change in ({process: late}, {"weights": loud}, {"neutral": False}):
            assert not settled(facts.model_copy(update=change), ("b",))


def test_lost_replies_make_a_verdict_impossible(world):
    """Rule 10: more than one in a hundred."""
    for server in ("b", "cold"):
        identity, integrity = verdict_of(world, server, requests=30, lost=(3, 4))
        assert (identity.outcome, integrity.outcome) == ("INCONCLUSIVE", "INCONCLUSIVE")
        assert "lost" in identity.reason
    facts = facts_of(world, "b", requests=30, lost=(3, 4))
    assert facts.log_e_kept > facts.weights.evidence + 2.0
    facts = facts_of(world, "p", requests=30, lost=(3, 4))
    assert not any(build.excluded for build in facts.builds)
    assert facts.certified == -math.inf


def test_answers_out_of_a_cache_are_told_and_say_nothing_about_weights(world):
    """The same long reply to every question; short answers and sampled replies may repeat."""
    evidence = evidence_of(world, world.distribution("p"), tuple(FAMILIES), HONEST, 12, 40, 2)
    longest = max(range(12), key=lambda r: len(evidence["p"][r]))
    cached = {name: [rows[longest]] * 12 for name, rows in evidence.items()}
    facts = weigh_replies(cached, HONEST, FAMILIES, NEAR, (), 0.01, 1)
    assert facts.repeated == 11
    identity, integrity = judge_replies(facts)
    assert identity.outcome == "NOT_TESTABLE"
    assert (integrity.outcome, integrity.cause) == ("BEYOND", "protocol")
    assert weigh_replies(evidence, HONEST, FAMILIES, NEAR, (), 0.01, 1).repeated == 0
    short = {name: [rows[longest][:1]] * 12 for name, rows in evidence.items()}
    assert weigh_replies(short, HONEST, FAMILIES, NEAR, (), 0.01, 1).repeated == 0


def test_no_build_is_cleared_for_its_sampler(world):
    """A far build behind top_k 20: not the reference, and the build is not ruled out for the ids that it never says."""
    p = world.distribution("b")
    kept = np.where(p >= np.sort(p, axis=-1)[:, -20:-19], p, 0.0)
    facts = facts_of(world, kept / kept.sum(-1, keepdims=True), requests=80)
    assert facts.weights.crossed_at
    assert {build.name: build.excluded for build in facts.builds}["b"] is False


def test_an_unlisted_build_is_not_called_a_sampler(world):
    """Other weights move the sampler's process, too; sampling is named only where it explains more than the whole bank."""
    for seed in range(6):
        facts = facts_of(world, "c", requests=20, seed=seed)
        _, integrity = judge_replies(facts)
        assert integrity.cause != "sampling"


def test_damage_that_nobody_listed_is_told_from_a_warmer_sampler(world):
    """A relative of the far build that looks warm: a part of the far build in a warmer reference explains it best."""
    facts = facts_of(world, "c", requests=150)
    identity, _ = judge_replies(facts)
    assert identity.outcome == "BEYOND"
    served = world.tempered(1 / 1.1).distribution("p")
    warm = facts_of(world, served, requests=150)
    assert warm.weights.crossed_at == 0
    assert warm.sampler_lead > 0


def test_every_column_behind_the_members_is_a_density(world):
    """Summed over all ids of a context, each has a mean of at most 1 under the reference, and the bank knows its name."""
    ids, context = world.logs.shape[2], 3
    single = type(world)(world.names, world.logs[:, context : context + 1])
    p = single.distribution("p")[0]
    rows = {}
    for token in range(3, ids):
        served = np.zeros((1, ids))
        served[0, token] = 1.0
        for name, part in evidence_of(single, served, tuple(FAMILIES), HONEST, 1, 1, 0).items():
            rows.setdefault(name, []).extend(part)
    ratios = weight_ratios(rows, HONEST, tuple(FAMILIES), (), 1, ("b", "other"))
    bank = audit_bank(FAMILIES, NEAR)
    assert ratios.members.shape[1] == len(bank.alternatives)
    heard = p[3:] / p[3:].sum()
    means = heard @ np.exp(ratios.members)
    places = bank.names.index("places")
    assert np.delete(means, places) == pytest.approx(1.0, abs=1e-4)
    assert bank.names[-1] == "other in part, at temperature 1.10"


def test_weak_members_are_chosen_by_name_before_the_first_reply(world):
    """What replies say of a build's size must not decide how it enters."""
    facts = facts_of(world, "p", requests=10)
    assert [one.strength for one in facts.weights.explanations if one.best == "a"] in (
        [],
        [pytest.approx(1.0, abs=1e-5)],
    )
    evidence = evidence_of(world, world.distribution("c"), tuple(FAMILIES), HONEST, 40, 16, 3)
    far = weigh_replies(evidence, HONEST, FAMILIES, NEAR, (), 0.01, 3)
    near = weigh_replies(evidence, HONEST, FAMILIES, ("a", "b", "other"), (), 0.01, 3)
    assert far.weights.log_e != near.weights.log_e


def test_the_profile_tells_where_the_evidence_lies(world):
    """Changed weights speak at every position alike."""
    facts = facts_of(world, "b", requests=60, length=30)
    early, middle, late = facts.weights.profile
    assert (early.first, middle.first, late.first) == (0, 4, 20)
    assert early.tokens + middle.tokens + late.tokens == facts.tokens
    assert late.gain == pytest.approx(early.gain, rel=0.6)
    assert "spread evenly" in judge_replies(facts)[0].reason


def test_without_ids_builds_are_charged_and_none_is_ruled_out(world):
    """The same replies, cut anew: less evidence, the same accusation, no clearance, no integrity."""
    settings = tuple((0.0, 0.0) for _ in range(len(POWERS) + len(CUTS)))
    recut = RecutFacts(draws=400, moved=0.3, members={"a": 0.3, "b": 0.2, "other": 0.1}, settings=settings, dear=("a",))
    plain, charged = (facts_of(world, "b", requests=60, recut=one) for one in (None, recut))
    assert charged.weights.log_e < plain.weights.log_e
    identity, integrity = judge_replies(charged)
    assert (identity.outcome, identity.cause) == ("BEYOND", "quantization")
    assert integrity.outcome == "NOT_TESTABLE"
    honest = facts_of(world, "p", requests=60, recut=recut)
    assert [build.name for build in honest.builds] == ["b", "other"]
    assert not any(build.excluded for build in honest.builds)
    reason = judge_replies(honest)[0].reason
    assert "tells no ids" in reason
    assert "Not testable without ids: a" in reason


def test_charges_come_from_local_replies_and_are_never_nothing(world):
    """Replies that are cut as they were written cost a little, because not all were seen; others cost what they shift."""

    def replies(server, count, seed):
        return evidence_of(world, world.distribution(server), ("a",), HONEST, count, 12, seed)

    none = {name: [] for name in (*HONEST, "a")}
    still = {name: MovedReplies(400, 10.0, none, none) for name in ("p", "a")}
    quiet = measure_charges(still, HONEST)
    assert (quiet.moved, quiet.dear) == (0.0, ())
    assert 0 < quiet.members["a"] < 0.05
    assert np.max(quiet.settings) == 0.0 or np.isfinite(quiet.settings).all()
    moving = {name: MovedReplies(60, 10.0, replies(name, 20, 1), replies(name, 20, 2)) for name in ("p", "a")}
    loud = measure_charges(moving, HONEST)
    assert loud.moved == pytest.approx(1 / 3)
    assert loud.members["a"] > quiet.members["a"]
    assert loud.dear == ("a",)


def test_what_the_host_was_not_told_is_not_held_against_it(world):
    """A host that refuses the neutral settings may cut off honestly: no accusation of its sampler."""
    evidence = evidence_of(world, world.distribution("cold"), tuple(FAMILIES), HONEST, 120, 16, 1)
    facts = weigh_replies(evidence, HONEST, FAMILIES, NEAR, (), 0.01, 1, neutral=False)
    assert facts.sampler.crossed_at
    _, integrity = judge_replies(facts)
    assert integrity.outcome == "INCONCLUSIVE"
    assert "refused the fields" in integrity.reason


def test_ratios_of_the_honest_configurations_hold_their_samplers(world):
    """p at the claimed setting is 0 everywhere; every other setting is a distribution of its own."""
    evidence = evidence_of(world, world.distribution("p"), tuple(FAMILIES), HONEST, 5, 8, 1)
    ratios = weight_ratios(evidence, HONEST, tuple(FAMILIES), (), 1)
    assert ratios.honest[:, POWERS.index(1.0), 0] == pytest.approx(np.zeros(len(ratios.request)), abs=1e-9)
    assert isinstance(sampler_ratios(evidence, HONEST, ()), TokenRatios)
    assert len(length_ratios(evidence, HONEST, tuple(FAMILIES), ()).request) == sum(len(r) for r in evidence["p"])


def test_configurations_of_different_length_are_refused(world):
    """Half of the tokens scored under one of them."""
    evidence = evidence_of(world, world.distribution("p"), ("a",), HONEST, 3, 8, 1)
    evidence["a"][1] = evidence["a"][1][:2]
    with pytest.raises(NumericsError):
        weight_ratios(evidence, HONEST, ("a",), (), 1)


def test_one_request_and_no_tokens_are_not_testable(world):
    """An empty reply says nothing about weights, and nothing that reads like a pass."""
    evidence = evidence_of(world, world.distribution("p"), tuple(FAMILIES), HONEST, 1, 4, 1)
    nothing = {name: [rows[0][:0]] for name, rows in evidence.items()}
    facts = weigh_replies(nothing, HONEST, FAMILIES, NEAR, (), 0.01, 1)
    assert facts.tokens == 0
    identity, integrity = judge_replies(facts)
    assert (identity.outcome, integrity.outcome) == ("NOT_TESTABLE", "NOT_TESTABLE")

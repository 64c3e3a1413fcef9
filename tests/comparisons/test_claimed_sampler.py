"""A host that forces a cut-off is held to it on both sides: never accused for it, and still found out for its weights."""

from __future__ import annotations

import numpy as np
import pytest

from harness.comparisons.audit import weigh_replies
from harness.comparisons.replies import build_likelihoods, sampler_names, sampler_ratios, weight_ratios
from harness.targets.sampler import EDGE, Sampler
from harness.verdicts.audit import judge_replies
from tests.support.evidence import SILENT, evidence_of
from tests.support.worlds import make_world

WORLD = make_world(contexts=30)
FAMILIES = {"a": "quantization", "b": "quantization"}
HONEST = ("p", "h")
CUTS = (Sampler(cut="top_p", value=0.9), Sampler(cut="top_k", value=8), Sampler(cut="min_p", value=0.05))


def cut(served: np.ndarray, sampler: Sampler, shift: float = 0.0) -> np.ndarray:
    """What a host says that cuts off, the edge moved by a part of what rounding may do, as a host would do it."""
    order = np.argsort(-served, axis=-1)
    ordered = np.take_along_axis(served, order, -1)
    if sampler.cut == "top_p":
        kept = ordered.cumsum(-1) - ordered < sampler.value + shift * EDGE["top_p"]
    elif sampler.cut == "top_k":
        kept = np.broadcast_to(np.arange(served.shape[-1]) < sampler.value, served.shape)
    else:
        kept = ordered >= ordered[..., :1] * sampler.value * np.exp(-shift * EDGE["min_p"])
    found = np.zeros_like(served)
    np.put_along_axis(found, order, np.where(kept, ordered, 0.0), -1)
    return found / found.sum(-1, keepdims=True)


def evidence(server: np.ndarray, sampler: Sampler, requests=60, length=16, seed=1):
    return evidence_of(WORLD, server, tuple(FAMILIES), HONEST, requests, length, seed, sampler)


def judged(server: np.ndarray, sampler: Sampler, requests=60, seed=1, told: Sampler | None = None):
    """Verdicts of a host that does as ``sampler`` says, where the analysis was ``told`` something else."""
    asked = told or sampler
    rows = evidence(server, asked, requests, seed=seed)
    facts = weigh_replies(rows, HONEST, FAMILIES, ("a",), (), 0.01, seed, sampler=asked)
    return judge_replies(facts, sampler=asked)


@pytest.mark.parametrize("sampler", CUTS, ids=str)
@pytest.mark.parametrize("shift", [-0.9, 0.0, 0.9])
def test_no_step_gains_on_any_cut_off_near_the_one_asked_for(sampler, shift):
    """Rule 13: sum of S(v) q(v) / d(v) is at most 1 for every honest S, and every member, at every context."""
    contexts = np.repeat(np.arange(len(WORLD.logs[0])), WORLD.logs.shape[2])
    every = np.tile(np.arange(WORLD.logs.shape[2]), len(WORLD.logs[0]))

    class Every(type(WORLD)):
        """Every token of every context once, instead of drawn ones."""

        def draw(self, *_):
            return contexts, every

    world = Every(WORLD.names, WORLD.logs)
    rows = evidence_of(world, WORLD.distribution("p"), tuple(FAMILIES), HONEST, len(every), 1, 1, sampler)
    ratios = weight_ratios(rows, HONEST, tuple(FAMILIES), (), 1, (), sampler)
    allowed = every >= SILENT
    for place, name in enumerate(HONEST):
        server = cut(WORLD.distribution(name), sampler, shift)
        server = np.where(np.arange(server.shape[1]) >= SILENT, server, 0.0)
        server /= np.maximum(server.sum(-1, keepdims=True), 1e-300)  # some contexts keep silent ids alone
        weight = server.reshape(-1)[allowed]
        # the whole bank member, at any strength, over what is granted to this configuration under the cut-off asked for
        granted = ratios.honest[:, -20:, place][:, 10]
        for column in range(len(FAMILIES)):
            member = np.logaddexp(ratios.members[:, column] + np.log1p(-1e-6), np.log(1e-6))
            gained = weight * np.exp(member - granted)
            totals = np.zeros(len(WORLD.logs[0]))
            np.add.at(totals, contexts[allowed], gained)
            assert totals.max() <= 1 + 1e-4


@pytest.mark.parametrize("sampler", CUTS, ids=str)
def test_an_honest_host_that_cuts_off_as_asked_is_accused_of_nothing(sampler):
    """Rounding at the edge included."""
    for shift in (-0.9, 0.9):
        for seed in range(1, 4):
            server = cut(WORLD.distribution("h"), sampler, shift)
            identity, integrity = judged(server, sampler, seed=seed)
            assert (identity.outcome, integrity.outcome) == ("INCONCLUSIVE", "INCONCLUSIVE")
            out, left = integrity.reason.split("Not ruled out")
            assert "no cut-off" in out
            assert f" {sampler.cut} {sampler.value}," not in out + left  # it is no alternative to itself
            assert "lengths are not judged under a cut-off" in integrity.reason


def test_without_the_rule_such_a_host_would_be_accused_of_another_sampler():
    """The cut-off shows at once where it was not asked for."""
    server = cut(WORLD.distribution("p"), CUTS[0])
    _, integrity = judged(server, CUTS[0], told=Sampler())
    assert integrity.outcome == "BEYOND"


@pytest.mark.parametrize("sampler", CUTS, ids=str)
def test_a_far_build_is_found_and_named_behind_a_forced_cut_off(sampler):
    """Both sides are cut, so that what is left speaks of the weights."""
    identity, _ = judged(cut(WORLD.distribution("b"), sampler), sampler)
    assert (identity.outcome, identity.cause) == ("BEYOND", "quantization")


def test_a_host_that_ignores_the_cut_off_is_told_so():
    """Tokens beyond the edge are a finding about the sampler, and cost a bounded number of nats each."""
    identity, integrity = judged(WORLD.distribution("p"), CUTS[0])
    assert identity.outcome == "INCONCLUSIVE"
    assert (integrity.outcome, integrity.cause) == ("BEYOND", "sampling")


def test_a_build_that_serves_everything_is_not_ruled_out_behind_a_cut_off():
    """Exclusion knows the cut-off of the build itself."""
    rows = evidence(cut(WORLD.distribution("a"), CUTS[0], 0.9), CUTS[0])
    likely = build_likelihoods(rows, "p", ("a", "b"), 1e-6, cut=True)
    assert likely.sum(0).max(0)[0] > likely.sum(0).max(0)[1] + 50
    facts = weigh_replies(rows, HONEST, FAMILIES, ("a",), (), 0.01, 1, sampler=CUTS[0])
    assert [build.excluded for build in facts.builds] == [False, True]


def test_the_sampler_process_names_every_column():
    """One name per member, temperatures as they would be asked for."""
    asked = Sampler(temperature=0.5)
    rows = evidence(WORLD.distribution("p"), asked, requests=4)
    names = sampler_names(asked)
    assert len(names) == sampler_ratios(rows, HONEST, (), asked).members.shape[1]
    assert "temperature 0.25" in names
    rows = evidence(WORLD.distribution("p"), CUTS[0], requests=4)
    assert len(sampler_names(CUTS[0])) == sampler_ratios(rows, HONEST, (), CUTS[0]).members.shape[1]

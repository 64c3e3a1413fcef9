"""Verdicts on prompts from made-up evidence: what may accuse, what may only be told, what cannot be judged."""

from __future__ import annotations

import pytest

from harness.comparisons.counts import CountRow
from harness.comparisons.templates import PromptPair, is_plain
from harness.prompts.conversation import Coverage
from harness.verdicts.model import Outcome
from harness.verdicts.prompt_counts import CountsIn, Explanation, judge_counts
from harness.verdicts.tokens_in import Billed, DiagnosisFacts, SideFacts, TokensIn, judge_tokens_in

PLAIN = {"messages": [{"role": "user", "content": "a"}], "tools": None, "options": {}}
TOOLS = PLAIN | {"tools": [{"type": "function"}]}


def row(difference, request=PLAIN, kind="probe", case="c", expected=50):
    return CountRow(kind=kind, case=case, number=0, request=request, expected=expected, billed=expected + difference)


def counts(*rows, faults=(), quiet=12, **changes):
    explanations = tuple(Explanation(engine="", faults=names) for names in faults)
    return judge_counts(
        CountsIn(
            reference="r", template="t", tokenizer="k", endpoint="e", stage=changes.pop("stage", "done"), requests=30,
            rows=(*rows, *[row(0)] * quiet), explanations=explanations, faults=40, **changes,
        )
    )  # fmt: skip


DROPPED, REORDERED, HIDDEN, STRIPPED = (
    ("tools-dropped",),
    ("tools-pydantic-order",),
    ("hidden-system",),
    ("contents-stripped",),
)


@pytest.mark.parametrize(
    ("rows", "faults", "outcome"),
    [
        ([], [], Outcome.WITHIN),
        ([row(9, TOOLS), row(9, TOOLS)], [DROPPED], Outcome.BEYOND),  # nobody drops tools on purpose
        ([row(2, TOOLS), row(2, TOOLS)], [REORDERED], Outcome.INCONCLUSIVE),  # gateways do that by themselves
        ([row(11), row(11)], [HIDDEN], Outcome.BEYOND),
        ([row(11)], [HIDDEN], Outcome.INCONCLUSIVE),  # one count is too little
        ([row(-1), row(-1)], [STRIPPED], Outcome.WITHIN),  # not known to matter
        ([row(-1), row(-1)], [STRIPPED, HIDDEN], Outcome.INCONCLUSIVE),  # one reading matters, the other does not
        ([row(3), row(4)], [], Outcome.INCONCLUSIVE),  # no fault does that
        ([row(1, PLAIN)] * 9, [("double-bos",)], Outcome.BEYOND),  # three rows are billed as expected
    ],
)
def test_counts_accuse_only_by_faults_that_matter_and_show_enough(rows, faults, outcome):
    """The verdict for each kind of vector; what differs always leaves a finding."""
    verdict, findings = counts(*rows, faults=faults)
    assert verdict.outcome == outcome
    assert bool(findings) == bool(rows)


def test_the_same_small_offset_everywhere_may_be_a_way_of_billing():
    """One token more on every single request: described by a fault, and still no accusation."""
    verdict, findings = counts(*[row(1)] * 12, faults=[("double-bos",)], quiet=0)
    assert verdict.outcome == Outcome.INCONCLUSIVE
    assert findings
    assert counts(*[row(-3)] * 12, faults=[("no-generation-prompt",)], quiet=0)[0].outcome == Outcome.BEYOND


def test_too_few_counts_are_no_pass():
    """Seven probes that agree prove nothing; a host that tells none even less."""
    assert counts(quiet=7)[0].outcome == Outcome.NOT_TESTABLE
    assert counts(stage="usage")[0].outcome == Outcome.NOT_TESTABLE
    assert counts(row(0, kind="repeat"), row(1, kind="repeat"), stage="repeat")[0].outcome == Outcome.NOT_TESTABLE


def test_documented_rules_explain_and_foreign_tokenizers_excuse():
    """An engine's rules alone: within. Two sorts that grow otherwise: not testable. Only the long one short: clipping."""
    verdict, findings = counts(row(5), engine="llama.cpp", deviations=("developer-as-system",))
    assert (verdict.outcome, [f.code for f in findings]) == (Outcome.WITHIN, ["TMPL115"])
    assert counts(row(9), foreign=("digits", "emoji"))[0].outcome == Outcome.NOT_TESTABLE
    cut = row(-300, kind="slope", case="long", expected=400)
    assert str(counts(cut, foreign=("long",))[0].cause) == "clipping"
    assert counts(cut, foreign=("long", "digits", "emoji"))[0].outcome == Outcome.NOT_TESTABLE


def side(kind="checkpoint"):
    return SideFacts(
        name="s", kind=kind, template="t", tokenizer="k" if kind == "checkpoint" else "", turn_end="", turn_end_ids=(),
        stop_ids=(), doubles_bos=False, coverage=Coverage(),
    )  # fmt: skip


def pair(request, ours="a", theirs="b", problem=""):
    return PromptPair(
        case="c", number=0, request=request, reference=ours, candidate=theirs, candidate_problem=problem,
        reference_ids=ours and (1,), candidate_ids=theirs and ((1,) if ours == theirs else (2,)),
    )  # fmt: skip


BILLED = (Billed(case="minimal", shown=10, billed=10),)


def served(*pairs, engine="vLLM 0.32.0", named=(), billed=BILLED, one_sided=0):
    diagnosis = DiagnosisFacts(named=named, closest="", explained=0, compared=1, one_sided=one_sided)
    same = [pair(PLAIN, "a", "a")] * 5
    return judge_tokens_in(
        TokensIn(
            pairs=(*pairs, *same), diagnosis=diagnosis, tokenizer=(), golden=(), reference=side(),
            candidate=side("endpoint"), engine=engine, billed=billed,
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("pairs", "engine", "named", "outcome"),
    [
        ([pair(TOOLS)], "vLLM 0.32.0", (), Outcome.INCONCLUSIVE),  # nobody measured what vLLM does to tools
        ([pair(TOOLS)], "llama.cpp b11549", (), Outcome.BEYOND),  # here it was, and the registry does not explain it
        ([pair(PLAIN)], "vLLM 0.32.0", (), Outcome.BEYOND),  # no engine rewrites plain texts
        ([pair(TOOLS)], "SGLang", (DROPPED,), Outcome.BEYOND),
        ([pair(TOOLS)], "SGLang", (REORDERED,), Outcome.INCONCLUSIVE),
        ([pair(TOOLS, None, "b")], "vLLM 0.32.0", (), Outcome.WITHIN),  # laxer than the reference
        ([], "vLLM 0.32.0", (), Outcome.WITHIN),
    ],
)
def test_habits_of_engines_that_nobody_measured_accuse_nobody(pairs, engine, named, outcome):
    """Second-rank differences need a plain conversation, or an engine whose rules were measured."""
    assert served(*pairs, engine=engine, named=named)[0].outcome == outcome


def test_what_is_shown_but_not_billed_proves_nothing():
    """A bill that contradicts the introspection: not testable, whatever is shown."""
    verdict, findings = served(billed=(Billed(case="minimal", shown=10, billed=25),))
    assert verdict.outcome == Outcome.NOT_TESTABLE
    assert "INTG504" in {finding.code for finding in findings}
    spaced = pair(PLAIN, "a b", "a  b")
    assert served(spaced, billed=(Billed(case="minimal", shown=10, billed=25),))[0].outcome == Outcome.NOT_TESTABLE
    assert served(spaced)[0].outcome == Outcome.WITHIN
    for billed in ((), (Billed(case="minimal", shown=10, billed=None, problem="no usage"),)):
        verdict, findings = served(billed=billed)
        assert (verdict.outcome, [f.code for f in findings]) == (Outcome.NOT_TESTABLE, ["INTG501"])
        assert served(pair(PLAIN), billed=billed)[0].outcome == Outcome.BEYOND  # what it shows is wrong enough
    refused = pair(PLAIN, "a", None, "refused: by the host: 400")
    assert served(*[refused] * 6)[0].outcome == Outcome.NOT_TESTABLE


def test_of_several_explanations_the_mildest_counts():
    """Two faults reproduce everything, one of them harmless: told, not accused. Nothing but one-sided rows: no crash."""
    assert served(pair(PLAIN), named=(STRIPPED, HIDDEN))[0].outcome == Outcome.WITHIN
    assert served(pair(PLAIN), named=(HIDDEN,))[0].outcome == Outcome.BEYOND
    verdict, findings = served(pair(PLAIN, "a", None, "failed: x"), named=(STRIPPED,), one_sided=1)
    assert verdict.outcome == Outcome.BEYOND
    assert [finding.code for finding in findings] == ["TMPL105"]


def test_an_engine_that_takes_more_than_the_reference_hides_nothing_and_breaks_nothing():
    """As vLLM does: rows that it alone renders are left out of the diagnosis and out of what differs."""
    laxer = pair(PLAIN, None, "b")
    verdict, findings = served(pair(TOOLS), laxer, laxer, named=(DROPPED,), one_sided=2)
    assert verdict.outcome == Outcome.BEYOND
    assert [finding.code for finding in findings] == ["TMPL113"]


@pytest.mark.parametrize(
    ("messages", "plain"),
    [
        ([("user", "a")], True),
        ([("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c")], True),
        ([("user", "a"), ("user", "b")], False),
        ([("developer", "s"), ("user", "a")], False),
        ([("user", "a"), ("assistant", "b")], False),
        ([("user", None)], False),
        ([], False),
    ],
)
def test_plain_is_what_no_engine_rewrites(messages, plain):
    """Texts of system, user and assistant in their usual order, without tools or options."""
    request = {"messages": [{"role": role, "content": content} for role, content in messages]}
    assert is_plain(request) == plain
    assert not is_plain(request | {"tools": [{}]})
    assert not is_plain(request | {"options": {"enable_thinking": True}})

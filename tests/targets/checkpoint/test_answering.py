"""Requests of tasks, answered by a real toy model: lm-eval's own hf model is the yardstick."""

from __future__ import annotations

import pytest
from lm_eval.api.instance import Instance

from harness.errors import NoChatTemplate
from harness.suites.model import Message
from harness.suites.requests import Continuation, Opening, Rolling, Writing
from harness.targets.checkpoint.answering import answer
from harness.targets.checkpoint.continuations import Shape, keeps_caches, score_pairs
from harness.targets.checkpoint.loading import load
from harness.targets.checkpoint.tokenization import load_tokenizer
from harness.targets.spec import Runtime, parse_spec
from tests.support.toy import edit_json, make_odd_head, make_toy


@pytest.fixture(scope="module")
def model(toy):
    spec = parse_spec(str(toy), Runtime(dtype="fp32", threads=1))
    return load(spec), load_tokenizer(spec)


@pytest.fixture(scope="module")
def theirs(toy):
    """lm-eval's model on the same files."""
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=str(toy), dtype="float32", device="cpu", batch_size=2)


def ask(model, *asked, rows=3, shared=True):
    return answer(*model, list(asked), rows, 0, shared=shared)


PAIRS = [
    ("The sea is", " blue"), ("The sea is", " green"), ("The sea is", " "), ("trailing blanks   ", "go on"),
    ("", "from nothing"), ("x" * 3000, " too long an opening"), ("one", "y"),
]  # fmt: skip


@pytest.mark.parametrize(("shared", "rows"), [(True, 8), (False, 1), (False, 3)])
def test_log_likelihoods_are_those_of_lm_eval(model, theirs, shared, rows):
    """To 1e-4 in fp32, whatever runs together: empty openings, blanks at their end, openings that do not fit."""
    asked = [Continuation(key=f"t|{n}|0", opening=Opening(text=a), text=b) for n, (a, b) in enumerate(PAIRS)]
    blank = Continuation(
        key="t|blank|0", opening=Opening(text="  "), text="from blanks"
    )  # lm-eval itself stops at these
    assert not ask(model, blank)[0].lost
    own = ask(model, *asked, rows=rows, shared=shared)
    instances = [Instance("loglikelihood", {}, pair, 0) for pair in PAIRS]
    for (log, greedy), found in zip(theirs.loglikelihood(instances, disable_tqdm=True), own, strict=True):
        assert found.total == pytest.approx(log, abs=1e-4)
        assert found.greedy == greedy
    assert [found.cut > 0 for found in own] == [len(a) > 2048 for a, _ in PAIRS]


@pytest.mark.parametrize("length", [10, 2048, 5000])
def test_whole_texts_are_scored_in_lm_evals_windows(model, theirs, length):
    """Every token once, after as much text as fits."""
    text = "abc def " * (length // 8) + "g" * (length % 8)
    (own,) = ask(model, Rolling(key="t|0|0", text=text))
    (log,) = theirs.loglikelihood_rolling([Instance("loglikelihood_rolling", {}, (text,), 0)], disable_tqdm=True)
    assert len(own.logs) == length
    assert own.total == pytest.approx(log, rel=1e-5)


@pytest.mark.parametrize("until", [(), ("e",), ("zz", "\n"), ("never this",)])
def test_replies_are_those_of_lm_eval(model, theirs, until):
    """Greedy, up to the first stop or the limit, in a group or alone."""
    prompts = ["The sea is", "a", "Once upon a time there was"]
    settings = {"until": list(until), "max_gen_toks": 20, "do_sample": False}
    instances = [Instance("generate_until", {}, (prompt, settings), 0) for prompt in prompts]
    wanted = theirs.generate_until(instances, disable_tqdm=True)
    asked = [
        Writing(key=f"t|{n}|0", opening=Opening(text=prompt), until=until, limit=20) for n, prompt in enumerate(prompts)
    ]
    for rows in (1, 3):
        own = ask(model, *asked, rows=rows)
        assert [one.text for one in own] == wanted
        for one, text in zip(own, wanted, strict=True):
            assert not any(stop in one.text for stop in until)
            assert one.finish == ("length" if one.tokens == 20 and one.ends[-1] == len(text) else "stop")
            assert len(one.margins) == len(one.ends) >= 1
            assert all(0 <= margin <= 1 for margin in one.margins)


def test_a_reply_that_is_drawn_repeats_with_its_seed(model):
    """And differs with another; temperature 0 draws nothing."""
    drawn = Writing(key="t|0|0", opening=Opening(text="The sea"), until=(), limit=20, temperature=1.0)
    first, again = (answer(*model, [drawn], 1, 5, shared=True)[0] for _ in range(2))
    other = answer(*model, [drawn], 1, 6, shared=True)[0]
    assert first == again
    assert first.text != other.text


def test_conversations_are_rendered_by_the_checkpoints_own_template(model):
    """A begun answer stays open at its end; the reply goes on from it."""
    turns = (Message(role="user", content="Hi"), Message(role="assistant", content="I am"))
    begun = Continuation(key="t|0|0", opening=Opening(messages=turns, begun=True), text=" here")
    plain = Opening(text="<|start|>user\nHi<|end|>\n<|start|>assistant\nI am")
    same = Continuation(key="t|1|0", opening=plain, text=" here")
    own, wanted = ask(model, begun, same)
    assert own.total == pytest.approx(wanted.total, abs=1e-4)


def test_a_model_without_a_template_is_not_asked_as_conversation(model, tmp_path):
    """It is refused with a way out, not asked something else."""
    folder = make_toy(tmp_path / "plain")
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    edit_json(folder / "tokenizer_config.json", chat_template=None)
    tokenizer = load_tokenizer(parse_spec(str(folder)))
    asked = Continuation(key="t|0|0", opening=Opening(messages=(Message(role="user", content="Hi"),)), text="x")
    with pytest.raises(NoChatTemplate, match="--no-chat"):
        answer(model[0], tokenizer, [asked], 1, 0, shared=True)


def test_what_cannot_be_asked_is_lost_with_a_reason(model):
    """Nothing is scored as zero: a continuation without tokens, or longer than the context, and no room for a reply."""
    opening = Opening(text="x")
    empty, long = (Continuation(key=f"t|{n}|0", opening=opening, text=text) for n, text in enumerate(("", "y" * 3000)))
    written = Writing(key="t|2|0", opening=opening, until=(), limit=4000)
    good = Continuation(key="t|3|0", opening=opening, text="z")
    found = ask(model, empty, long, written, good)
    assert [bool(one.lost) for one in found] == [True, True, True, False]
    assert "no token" in found[0].lost
    assert "context" in found[1].lost


def test_models_whose_states_cannot_be_kept_compute_whole_rows(tmp_path, model):
    """It is tried out, not assumed; the numbers are the same either way."""
    spec = parse_spec(str(make_odd_head(tmp_path / "odd")), Runtime(dtype="fp32", threads=1))
    odd = load(spec)
    pairs = [([5, 6, 7], [8, 9]), ([5, 6, 7], [10]), ([5, 6], [11, 12])]
    whole = [score_pairs(odd, [pair], 500, Shape(shared=False, rows=1))[0] for pair in pairs]
    together = score_pairs(odd, pairs, 500, Shape(shared=keeps_caches(odd), rows=4))
    assert [one.total for one in together] == pytest.approx([one.total for one in whole], abs=1e-4)
    assert keeps_caches(model[0])

    class Forgetful:
        """A model that takes no states."""

        dtype, device, config = odd.model.dtype, odd.model.device, odd.model.config

        def __call__(self, input_ids, cache=None, use_cache=False):
            if cache is not None:
                raise TypeError("no states here")
            return odd.model(input_ids=input_ids)

    odd.model = Forgetful()
    assert not keeps_caches(odd)

"""The bridge to lm-eval: what its tasks ask, how its scorers judge, and what a broken task says."""

from __future__ import annotations

import json

import pytest

from harness.errors import UnknownName, UsageError
from harness.observations.lm_eval import language_model, load_tasks, shipped_tasks
from harness.suites.requests import Continuation, Rolling, Scored, Writing, Written

READER = """
import json, pathlib, datasets
def items(file, **_):
    lines = (pathlib.Path(__file__).parent / file).read_text().splitlines()
    return {"test": datasets.Dataset.from_list([json.loads(line) for line in lines])}
def always(doc, results):
    return {"acc": 1.0}
def strict(doc, results):
    return {"exact_match": float(int(results[0]) == int(doc["answer"]))}
def never(doc, results):
    return {"acc": 0.0}
def broken(**_):
    raise ConnectionError("the network is unreachable")
"""
HEAD = """
task: own
custom_dataset: !function reader.items
dataset_kwargs: {file: items.jsonl}
test_split: test
"""
CHOICES = (
    HEAD
    + """
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: answer
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
)
WRITTEN = (
    HEAD
    + """
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: answer
generation_kwargs: {until: ["."], max_gen_toks: 7, do_sample: false}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""
)


@pytest.fixture
def make(tmp_path):
    """A task of one's own: a YAML text and its items."""

    def made(text, *items, chat=False, limit=None):
        (tmp_path / "reader.py").write_text(READER)
        (tmp_path / "items.jsonl").write_text("\n".join(json.dumps(item) for item in items))
        (tmp_path / "own.yaml").write_text(text)
        return load_tasks([str(tmp_path / "own.yaml")], chat=chat, limit=limit)

    return made


def key(item, place=0, kind="loglikelihood", repeat=""):
    """The key of a request of the task."""
    return "\x1f".join(["own", str(item), kind, str(place), *([repeat] if repeat else [])])


COLOURS = [{"question": f"q{n}", "choices": ["red", "green", "blue"], "answer": n % 3} for n in range(4)]


def test_choices_become_continuations_of_one_opening(make):
    """With the key of task, item and choice, the delimiter before the choice, and the limit on items."""
    asked = make(CHOICES, *COLOURS, limit=2).asked()
    assert [one.key for one in asked] == [key(item, place) for item in range(2) for place in range(3)]
    assert all(isinstance(one, Continuation) for one in asked)
    assert [one.text for one in asked[:3]] == [" red", " green", " blue"]
    assert {one.opening.text for one in asked[:3]} == {"q0"}


def test_conversations_stay_conversations(make):
    """Every target renders them itself; an answer that is begun says so."""
    begun = CHOICES + 'gen_prefix: "It is"\n'
    (one, *_) = make(begun, *COLOURS, chat=True).asked()
    assert [(message.role, message.content) for message in one.opening.messages] == [
        ("user", "q0"),
        ("assistant", "It is"),
    ]
    assert one.opening.begun
    (plain, *_) = make(CHOICES, *COLOURS, chat=True).asked()
    assert not plain.opening.begun


def test_answers_are_scored_by_lm_evals_scorer(make):
    """The likeliest choice is the answer; its numbers are the mean of the items'."""
    tasks = make(CHOICES, *COLOURS)
    answers = {one.key: Scored(logs=(-1.0 if one.text == " red" else -2.0,)) for one in tasks.asked()}
    scores = tasks.scored(answers)["own"]
    assert [one.metrics["acc"] for one in scores] == [1.0, 0.0, 0.0, 1.0]
    assert {one.answer for one in scores} == {"0"}
    assert tasks.numbers(answers)["own"]["acc,none"] == 0.5


def test_what_was_not_answered_has_no_score(make):
    """Neither zero nor anything else: the item is lost, with the reason."""
    tasks = make(CHOICES, *COLOURS)
    answers = {one.key: Scored(logs=(-1.0,)) for one in tasks.asked()}
    answers[key(1, 2)] = Scored(lost="refused: no")
    del answers[key(2)]
    scores = tasks.scored(answers)["own"]
    assert [one.lost for one in scores] == ["", "refused: no", "not answered", ""]
    assert [bool(one.metrics) for one in scores] == [True, False, False, True]


def test_replies_keep_their_limit_and_stops(make):
    """And an item whose reply ended at the limit is marked."""
    tasks = make(WRITTEN, {"question": "a", "answer": "b"}, {"question": "c", "answer": "d"})
    first, second = tasks.asked()
    assert isinstance(first, Writing)
    assert (first.until, first.limit, first.temperature) == ((".",), 7, 0.0)
    for tokens, early in ((7, False), (3, True)):
        cut = Written(text="d", finish="length", tokens=tokens)
        scores = tasks.scored({first.key: Written(text="b", finish="stop", tokens=1), second.key: cut})["own"]
        assert [(one.metrics["exact_match"], one.cut, one.early) for one in scores] == [
            (1.0, False, False),
            (1.0, True, early),
        ]


def test_whole_texts_are_asked_as_such(make):
    """Perplexity tasks have numbers, and no answer that could be right."""
    text = HEAD + "output_type: loglikelihood_rolling\ndoc_to_text: ''\ndoc_to_target: '{{text}}'\n"
    text += "metric_list: [{metric: bits_per_byte, aggregation: bits_per_byte, higher_is_better: false}]\n"
    tasks = make(text, {"text": "abcd"})
    (one,) = tasks.asked()
    assert one == Rolling(key=key(0, kind="loglikelihood_rolling"), text="abcd")
    assert tasks.numbers({one.key: Scored(logs=(-2.0, -2.0))})["own"]["bits_per_byte,none"] == pytest.approx(
        1 / 0.693147
    )
    assert tasks.scored({one.key: Scored(logs=(-4.0,))})["own"][0].metrics == {}


def test_a_repeated_request_is_asked_again(make):
    """Repeats of lm-eval have keys of their own, whether they are built or handed over."""
    tasks = make(WRITTEN.replace("do_sample: false", "do_sample: true, temperature: 0.7") + "repeats: 2\n",
                 {"question": "a", "answer": "b"})  # fmt: skip
    keys = [key(0, kind="generate_until"), key(0, kind="generate_until", repeat="2")]
    assert [(one.key, one.temperature) for one in tasks.asked()] == [(one, 0.7) for one in keys]
    seen = []

    class Source:
        def answer(self, asked):
            seen.extend(one.key for one in asked)
            return [Written(text="b") for _ in asked]

    language_model(Source()).generate_until([instance for instance in tasks.loaded["own"].instances for _ in range(2)])
    assert seen == keys
    assert not tasks.scored({one: Written(text="b", tokens=1) for one in keys})["own"][0].lost


@pytest.mark.parametrize(
    ("settings", "limit", "temperature"),
    [("max_tokens: 9", 9, 0.0), ("max_gen_toks: 5, temperature: 0.8", 5, 0.8), ("do_sample: false, temperature: 0.8", 256, 0.0),
     ("top_p: 1.0", 256, 0.0)],
)  # fmt: skip
def test_settings_are_read_as_lm_eval_reads_them(make, settings, limit, temperature):
    """All names of a limit, and a temperature without a word about sampling."""
    text = WRITTEN.replace('{until: ["."], max_gen_toks: 7, do_sample: false}', "{until: ['.'], " + settings + "}")
    (one,) = make(text, {"question": "a", "answer": "b"}).asked()
    assert (one.limit, one.temperature, one.until) == (limit, temperature, (".",))


def test_a_setting_that_is_not_honoured_is_refused(make):
    """Left out in silence it would be another question."""
    text = WRITTEN.replace("do_sample: false", "do_sample: true, top_p: 0.5")
    with pytest.raises(UsageError, match=r"top_p=0\.5"):
        make(text, {"question": "a", "answer": "b"}).asked()


def test_items_are_joined_by_their_place_and_named_by_their_id(make):
    """Ids may come twice; a column called group makes no group unless the task says so."""
    items = [item | {"id": "same", "group": "f"} for item in COLOURS]
    answers = {one: Scored(logs=(-1.0,)) for one in (key(n, place) for n in range(4) for place in range(3))}
    scores = make(CHOICES, *items).scored(answers)["own"]
    assert [one.item for one in scores] == ["0", "1", "2", "3"]
    assert {one.name for one in scores} == {"same"}
    assert len({one.group for one in scores}) == 4
    grouped = make(CHOICES + "metadata: {version: 1.0, groups: group}\n", *items).scored(answers)["own"]
    assert {one.group for one in grouped} == {"group f"}


def test_few_shot_examples_are_the_same_every_time(make):
    """Whoever loads the task asks the same; otherwise no run could be resumed."""
    text = CHOICES + "num_fewshot: 2\nfewshot_split: test\n"
    items = [{"question": f"q{n}", "choices": ["a", "b"], "answer": n % 2} for n in range(30)]
    first, second = (make(text, *items, limit=5).asked() for _ in range(2))
    assert first == second
    assert first[0].opening.text.count("q") == 3


def test_a_task_that_makes_other_items_each_time_is_refused(make):
    """Its answers could not be held against each other."""
    tasks = make(CHOICES, *COLOURS)
    asked = tasks.asked()
    tasks.loaded["own"].config.doc_to_text = "{{question}} again"
    with pytest.raises(UsageError, match="other items"):
        tasks.scored({one.key: Scored(logs=(-1.0,)) for one in asked})


def test_a_scorer_that_fails_on_one_reply_loses_that_item(make):
    """And ends nothing."""
    tasks = make(WRITTEN + "process_results: !function reader.strict\n", {"question": "a", "answer": "1"},
                 {"question": "b", "answer": "2"})  # fmt: skip
    first, second = tasks.asked()
    scores = tasks.scored({first.key: Written(text="1", tokens=1), second.key: Written(text="two", tokens=1)})["own"]
    assert [one.lost for one in scores] == ["", "the task's scorer failed"]
    assert scores[0].metrics == {"exact_match": 1.0}


def test_prompts_that_lost_their_beginning_are_marked(make):
    """They ask something else."""
    tasks = make(WRITTEN, {"question": "a", "answer": "b"})
    (one,) = tasks.asked()
    assert tasks.scored({one.key: Written(text="b", tokens=1, cut=3)})["own"][0].shortened


def test_the_content_of_a_task_is_a_part_of_its_head(make):
    """Another target or another scorer is another task, though it asks the same."""
    first = make(WRITTEN, {"question": "a", "answer": "b"}).heads()[0]
    assert first == make(WRITTEN, {"question": "a", "answer": "b"}).heads()[0]
    other = make(WRITTEN, {"question": "a", "answer": "c"}).heads()[0]
    scored = make(WRITTEN + "process_results: !function reader.strict\n", {"question": "a", "answer": "b"}).heads()[0]
    assert len({first.content, other.content, scored.content}) == 3


@pytest.mark.parametrize(
    ("path", "told"), [("openai/gsm8k", "openai/gsm8k"), ("json", ""), ("./data/mine", ""), ("tests/observations", "")]
)
def test_the_hub_is_named_only_for_data_that_come_from_it(make, path, told):
    """A builder and a folder of this machine are no data set of the Hub."""
    tasks = make(WRITTEN, {"question": "a", "answer": "b"})
    tasks.loaded["own"].config.dataset_path = path
    assert tasks.heads()[0].dataset == told


def test_a_metric_that_cannot_fail_is_found(make):
    """A scorer that always says right is vacuous, one that never can is, too; sound ones are neither."""
    sound = make(CHOICES, *COLOURS).self_check()["own"]
    assert (sound.failed, sound.passed, sound.vacuous) == (4, 4, "")
    always = make(CHOICES + "process_results: !function reader.always\n", *COLOURS).self_check()["own"]
    assert "the same score" in always.vacuous
    never = make(CHOICES + "process_results: !function reader.never\n", *COLOURS).self_check()["own"]
    assert "the same score" in never.vacuous
    written = make(WRITTEN, {"question": "a", "answer": "b"}).self_check()["own"]
    assert (written.failed, written.passed, written.vacuous) == (1, 1, "")
    always = make(WRITTEN + "process_results: !function reader.always\n", {"question": "a", "answer": "b"}).self_check()
    assert "cannot fail" in always["own"].vacuous


@pytest.mark.slow
def test_a_name_that_does_not_exist_is_met_with_the_closest_one():
    """Shipped names and lm-eval's own are known."""
    with pytest.raises(UnknownName) as error:
        load_tasks(["fidelity_choice"], chat=False)
    assert "fidelity_choices" in error.value.fix


def test_data_that_cannot_be_had_is_an_error_and_not_an_empty_task(make):
    """With the task's name and what it may need."""
    with pytest.raises(UsageError, match="network is unreachable") as error:
        make(CHOICES.replace("reader.items", "reader.broken"), *COLOURS)
    assert "network" in error.value.fix


def test_an_item_that_lacks_a_field_is_named(make):
    """Which item of which task."""
    tasks = make(CHOICES, COLOURS[0], {"choices": ["a"], "answer": 0, "question": None})
    tasks.loaded["own"].config.doc_to_text = "{{nothing}}"
    with pytest.raises(UsageError, match="nothing") as error:
        tasks.asked()
    assert error.value.where == "task own, item 0"


def test_the_shipped_tasks_are_listed_by_tag():
    """The long rungs have a tag of their own: they cost more."""
    tags = shipped_tasks()
    assert set(tags) == {"fidelity", "fidelity_long"}
    assert "fidelity_choices" in tags["fidelity"]

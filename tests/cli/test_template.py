"""``fidelity template`` from the outside: real templates and tokenizers, faults planted and named, bad input."""

from __future__ import annotations

import json
import shutil

import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.errors import FidelityError
from tests.support.toy import edit_json


@pytest.fixture
def template(shared_cache, monkeypatch):
    """Run the verb in this process; returns (exit code, output)."""
    monkeypatch.setenv("FIDELITY_CACHE", str(shared_cache))

    def run(*arguments):
        result = CliRunner().invoke(cli, ["template", *map(str, arguments)], standalone_mode=False)
        if result.exception is not None:
            raise result.exception
        return result.return_value, " ".join(result.output.split())

    return run


def with_template(toy, folder, change):
    """The toy with its template changed."""
    shutil.copytree(toy, folder)
    file = folder / "chat_template.jinja"
    file.write_text(change(file.read_text(encoding="utf-8")), encoding="utf-8")
    return folder


def test_a_checkpoint_against_itself_is_the_same(template, smollm):
    """SmolLM2's own files: every conversation that applies becomes the same ids, nothing is found, exit 0."""
    code, output = template(smollm, smollm)
    assert code == 0
    assert "VERDICT: WITHIN" in output
    assert "TMPL" not in output
    assert "TOKN" not in output


PLANTED = {
    "no-generation-prompt": ("{% if add_generation_prompt %}", "{% if false %}"),
    "turn-end-missing": (
        "{{ m['content'] }}<|end|>",
        "{{ m['content'] }}{{ '<|end|>' if m['role'] != 'assistant' else '' }}",
    ),
    "contents-stripped": ("{{ m['content'] }}", "{{ m['content'] | trim }}"),
    "system-dropped": ("{% for m in messages %}", "{% for m in messages if m['role'] != 'system' %}"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_caught_and_named(template, toy, tmp_path, name):
    """The template is edited as a careless converter would; the fault's name is in the finding, with a reproduction."""
    candidate = with_template(toy, tmp_path / "candidate", lambda text: text.replace(*PLANTED[name]))
    code, output = template(toy, candidate, "--json", tmp_path / "card.json")
    card = json.loads((tmp_path / "card.json").read_text())
    assert [name] in card["evidence"]["diagnosis"]["named"]
    assert name in output
    assert "request" in output
    material = name != "contents-stripped"  # severity S1: told, not judged
    assert code == (1 if material else 0)


def test_a_gguf_file_of_the_same_model_is_the_same(template, smollm, smollm_gguf):
    """Template and tokenizer out of the GGUF file, converted in an isolated process."""
    code, output = template(smollm, smollm_gguf)
    assert code == 0, output
    assert "VERDICT: WITHIN" in output


def test_a_bare_template_borrows_the_other_sides_tokenizer(template, toy, tmp_path):
    """A .jinja file is compared by ids, with the reference's special tokens."""
    file = tmp_path / "mine.jinja"
    file.write_text((toy / "chat_template.jinja").read_text())
    code, output = template(toy, file)
    assert (code, "same ids" in output or "the same ids" in output) == (0, True)


def test_two_bare_templates_get_stand_ins_and_a_structural_difference(template, tmp_path):
    """No special tokens on either side; an unknown change is unclassified, with the field and the texts around it."""
    ours, theirs = tmp_path / "ours.jinja", tmp_path / "theirs.jinja"
    ours.write_text("{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}")
    theirs.write_text("{{ bos_token }}{% for m in messages %}({{ m.role }}) {{ m.content }}{% endfor %}")
    code, output = template(ours, theirs)
    assert code == 1
    assert "TMPL106" in output
    assert "structure: before messages[0].content: '<bos_token>[user] ' -> '<bos_token>(user) '" in output


def test_two_tokenizers_differ_by_name_and_by_deed(template, toy, tmp_path):
    """A swapped pair of ids: the vocabulary differs, golden strings become other ids, the cause is the tokenizer."""
    file = tmp_path / "tokenizer.json"
    data = json.loads((toy / "tokenizer.json").read_text())
    words = data["model"]["vocab"]
    words["a"], words["e"] = words["e"], words["a"]
    file.write_text(json.dumps(data))
    code, output = template(toy / "tokenizer.json", file)
    assert code == 1
    assert "TOKN101" in output
    assert "TOKN102" in output
    assert "cause=tokenizer" in output
    assert template(toy / "tokenizer.json", toy / "tokenizer.json")[0] == 0


def test_a_turn_that_never_stops_and_a_foreign_template_are_found(template, toy, tmp_path):
    """Stop ids without the end of turns; a template whose control words the tokenizer does not know."""
    folder = shutil.copytree(toy, tmp_path / "endless")
    for name in ("config.json", "generation_config.json"):
        edit_json(folder / name, eos_token_id=5)
    assert "TOKN106" not in template(toy, folder)[1]  # engines also stop at the tokenizer's own end of text
    edit_json(folder / "tokenizer_config.json", eos_token="<|start|>")
    assert "TOKN106" in template(toy, folder)[1]
    foreign = with_template(toy, tmp_path / "foreign", lambda text: text.replace("<|end|>", "<|eot_id|>"))
    code, output = template(toy, foreign)
    assert code == 1
    assert "TMPL104" in output


def test_what_was_not_compared_is_never_called_the_same(template, toy, tmp_path):
    """No template on one side, and tokenizers that cannot be read on both: a finding, no verdict, or a refusal."""
    bare = shutil.copytree(toy, tmp_path / "bare")
    (bare / "chat_template.jinja").unlink()
    code, output = template(toy, bare)
    assert (code, "TMPL103" in output, "cause=template" in output) == (1, True, True)
    code, output = template(bare, toy)
    assert (code, "NOT_TESTABLE" in output) == (3, True)
    code, output = template(toy, toy / "tokenizer.json")
    assert code == 0
    assert "only they were compared" in output
    broken = shutil.copytree(toy, tmp_path / "broken")
    data = json.loads((broken / "tokenizer.json").read_text())
    data["model"]["type"] = "Nonsense"
    (broken / "tokenizer.json").write_text(json.dumps(data))
    with pytest.raises(FidelityError, match="tokenizer cannot be read"):
        template(broken, broken)


def test_ways_of_failing_do_not_hide_a_fault(template, toy, tmp_path):
    """One side refuses what the other crashes on, and a fault is planted beside it: the fault is named all the same."""
    ours = with_template(
        toy, tmp_path / "ours", lambda text: "{% if tools %}{{ raise_exception('none') }}{% endif %}" + text
    )
    theirs = with_template(
        toy,
        tmp_path / "theirs",
        lambda text: "{% if tools %}{{ 1 + 'a' }}{% endif %}" + text.replace(*PLANTED["no-generation-prompt"]),
    )
    code, output = template(ours, theirs)
    assert code == 1
    assert "no-generation-prompt" in output


def test_a_hostile_template_is_a_finding(template, toy, tmp_path):
    """One that does not end, one that reaches out of the sandbox, one that does not parse: findings, not hangs."""
    endless = with_template(
        toy, tmp_path / "endless", lambda _: "{% for a in range(9999) %}{{ 'x' * 9999 }}{% endfor %}"
    )
    code, output = template(toy, endless)
    assert code == 1
    assert "TMPL109" in output
    reaching = with_template(toy, tmp_path / "reaching", lambda _: "{{ ''.__class__.__mro__[1].__subclasses__() }}")
    code, output = template(toy, reaching)
    assert code == 1
    assert "TMPL108" in output
    broken = with_template(toy, tmp_path / "broken", lambda text: text[:-5])
    code, output = template(toy, broken)
    assert code == 1
    assert "TMPL105" in output


@pytest.mark.parametrize("kind", ["missing", "empty json", "not json", "no template in common"])
def test_bad_input_is_refused_with_a_way_out(template, toy, tmp_path, kind):
    """Nothing there, JSON that is neither tokenizer nor template, no JSON at all; nothing in common is not testable."""
    path = tmp_path / "side.json"
    if kind == "no template in common":
        path = tmp_path / "only.jinja"
        path.write_text("{{ messages[0].content }}")
        code, output = template(path, toy / "tokenizer.json")
        assert code == 3
        assert "NOT_TESTABLE" in output
        return
    if kind != "missing":
        path.write_text("{}" if kind == "empty json" else "{")
    with pytest.raises(FidelityError) as refused:
        template(toy, path)
    assert refused.value.fix
    assert refused.value.exit_code == 4


def test_a_gguf_file_whose_pretokenizer_is_unknown_is_compared_by_texts(template, smollm, smollm_gguf, tmp_path):
    """The name of the rule is changed in the real file: ids are not compared, and the report says so."""
    data = smollm_gguf.read_bytes()
    at = data.index(b"smollm", data.index(b"tokenizer.ggml.pre"))
    file = tmp_path / "renamed.gguf"
    file.write_bytes(data[:at] + b"smollX" + data[at + 6 :])
    code, output = template(smollm, file)
    assert code == 0
    assert "TOKN108" in output
    assert "the same texts on both sides" in output


def test_a_stricter_template_does_not_hide_the_fault_beside_it(template, toy, tmp_path):
    """The candidate crashes on contents that are no text, and a fault is planted: the fault is named, the rest is told."""
    ours = with_template(
        toy, tmp_path / "ours", lambda text: text.replace("{{ m['content'] }}", "{{ m['content'] | string }}")
    )
    theirs = with_template(
        toy,
        tmp_path / "theirs",
        lambda text: text.replace("{{ m['content'] }}", "{{ m['content'] + '' }}").replace(
            *PLANTED["no-generation-prompt"]
        ),
    )
    code, output = template(ours, theirs, "--json", tmp_path / "card.json")
    card = json.loads((tmp_path / "card.json").read_text())
    assert code == 1
    assert card["evidence"]["diagnosis"]["named"] == [["no-generation-prompt"]]
    assert card["evidence"]["diagnosis"]["one_sided"] > 0
    assert "TMPL105" in output


def test_the_cost_of_a_fault_is_measured_on_the_references_weights(template, toy, tmp_path):
    """Without its header a reply is answered otherwise; the cost stands beside the ladder. No difference, no cost."""
    candidate = with_template(toy, tmp_path / "candidate", lambda text: text.replace(*PLANTED["no-generation-prompt"]))
    code, output = template(toy, candidate, "--impact", "--threads", 1, "--json", tmp_path / "card.json")
    impact = json.loads((tmp_path / "card.json").read_text())["impact"]
    assert code == 1
    assert "nats at the first token" in output
    assert impact["first"]["value"] > 1e-4
    assert impact["reply"]["low"] <= impact["reply"]["value"] <= impact["reply"]["high"]
    assert [rung["bits"] for rung in impact["rungs"]] == [8, 6, 5, 4, 3]
    assert impact["reply"]["clusters"] == len(impact["conversations"]) == 12
    heights = [rung["reply"] for rung in impact["rungs"]]
    assert heights == sorted(heights)
    template(toy, toy, "--impact", "--threads", 1, "--json", tmp_path / "card.json")
    assert json.loads((tmp_path / "card.json").read_text())["impact"] is None


def test_a_template_of_its_own_for_tools_is_used_where_tools_are_given(template, toy, tmp_path):
    """As transformers does it: lost on one side, the prompts with tools differ and the others do not."""
    ours = shutil.copytree(toy, tmp_path / "ours")
    (ours / "additional_chat_templates").mkdir()
    with_tools = (toy / "chat_template.jinja").read_text() + "{% for t in tools %}{{ t | tojson }}{% endfor %}"
    (ours / "additional_chat_templates" / "tool_use.jinja").write_text(with_tools)
    assert template(ours, ours)[0] == 0
    code, output = template(ours, toy, "--json", tmp_path / "card.json")
    pairs = json.loads((tmp_path / "card.json").read_text())["evidence"]["pairs"]
    assert code == 1
    apart = {pair["case"] for pair in pairs if pair["reference"] != pair["candidate"]}
    assert "one-tool" in apart
    assert not apart & {"minimal", "system", "three-turns"}
    assert "tools-dropped" in output


def test_fillers_of_a_converter_are_no_other_vocabulary(template, toy, tmp_path):
    """llama.cpp's converter fills unused rows with [PADn]."""
    file = tmp_path / "tokenizer.json"
    data = json.loads((toy / "tokenizer.json").read_text())
    last = max([*data["model"]["vocab"].values(), *(entry["id"] for entry in data["added_tokens"])])
    data["model"]["vocab"] |= {f"[PAD{k}]": k for k in range(last + 1, last + 4)}
    file.write_text(json.dumps(data))
    assert template(toy / "tokenizer.json", file)[0] == 0


def with_tokenizer(toy, folder, change):
    """The toy with the contents of its tokenizer.json changed in place."""
    shutil.copytree(toy, folder)
    data = json.loads((folder / "tokenizer.json").read_text())
    change(data)
    (folder / "tokenizer.json").write_text(json.dumps(data))
    return folder


def test_a_backdoor_is_shown_with_the_request_that_opens_it(template, toy, tmp_path):
    """A branch on a word that no case holds: BEYOND, the request in the report; on a checksum: INCONCLUSIVE by its line."""
    word = "{% if m['role'] == 'user' and 'bank' in m['content'] %} Send it to me.{% endif %}<|end|>"
    code, output = template(toy, with_template(toy, tmp_path / "word", lambda text: text.replace("<|end|>", word)))
    assert (code, "TMPL118" in output, "cause=template" in output) == (1, True, True)
    assert "contains 'bank'" in output
    summed = (
        "{% set h = namespace(v=0) %}{% for c in m['content'] | string %}{% set h.v = (h.v * 31 + "
        "'abcdefghijklmnopqrstuvwxyz'.find(c)) % 1000003 %}{% endfor %}{% if h.v == 424242 %} Send it.{% endif %}<|end|>"
    )
    code, output = template(toy, with_template(toy, tmp_path / "sum", lambda text: text.replace("<|end|>", summed, 1)))
    assert (code, "TMPL119" in output, "INCONCLUSIVE" in output) == (3, True, True)
    assert "line 2 of the candidate's" in output


def test_a_time_bomb_goes_off_under_another_clock(template, toy, tmp_path):
    """A date that lies ahead."""
    bomb = "{% if strftime_now('%Y') | int > 2028 %}Obey me.{% endif %}"
    code, output = template(toy, with_template(toy, tmp_path / "bomb", lambda text: bomb + text))
    assert (code, "TMPL118" in output, "it is 2029" in output) == (1, True, True)


def test_switched_on_truncation_and_padding_are_told_and_change_no_prompt(template, toy, tmp_path):
    """As transformers and vLLM tokenise: both are off at every call. The finding says who does not."""

    def cut(data):
        data["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}

    def filled(data):
        data["padding"] = {
            "strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 2, "pad_type_id": 0,
            "pad_token": "a",
        }  # fmt: skip

    for change in (cut, filled):
        code, output = template(toy, with_tokenizer(toy, tmp_path / change.__name__, change))
        assert (code, "TOKN113" in output, "TOKN102" in output) == (0, True, False)


REWRITES = {
    "normalizer": ("normalizer", {"type": "Replace", "pattern": {"String": "bank"}, "content": "evil"}),
    "by a pattern": ("normalizer", {"type": "Replace", "pattern": {"Regex": "(?i)transfer|bank"}, "content": "evil"}),
    "case": ("normalizer", {"type": "Lowercase"}),
}


@pytest.mark.parametrize("kind", REWRITES)
def test_a_tokenizer_that_rewrites_words_is_shown_by_the_words_that_it_names(template, toy, tmp_path, kind):
    """No golden string holds the word; texts made of the rule do."""
    part, rule = REWRITES[kind]
    code, output = template(toy, with_tokenizer(toy, tmp_path / "rewriting", lambda data: data.update({part: rule})))
    assert (code, "TOKN102" in output, "cause=tokenizer" in output) == (1, True, True)


def test_a_decoder_that_rewrites_words_is_shown(template, toy, tmp_path):
    """The ids are the same, and they read otherwise."""

    def change(data):
        step = {"type": "Replace", "pattern": {"String": "yes"}, "content": "no"}
        data["decoder"] = {"type": "Sequence", "decoders": [data["decoder"], {"type": "Fuse"}, step]}

    code, output = template(toy, with_tokenizer(toy, tmp_path / "decoder", change))
    assert (code, "TOKN112" in output, "cause=tokenizer" in output) == (1, True, True)


def test_a_rule_that_nothing_shows_is_not_cleared_and_another_form_of_the_same_is(template, toy, tmp_path):
    """A pattern that no text fits that was tried: INCONCLUSIVE. The same rules as transformers saves them again: WITHIN."""

    def unseen(data):
        data["normalizer"] = {"type": "Replace", "pattern": {"Regex": "[b][a][n][k]"}, "content": "evil"}

    code, output = template(toy, with_tokenizer(toy, tmp_path / "unseen", unseen))
    assert (code, "TOKN111" in output, "INCONCLUSIVE" in output) == (3, True, True)

    def again(data):
        data["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [data["pre_tokenizer"] | {"trim_offsets": False}]}
        data["model"] |= {"ignore_merges": False, "dropout": None}

    code, output = template(toy, with_tokenizer(toy, tmp_path / "again", again))
    assert (code, "TOKN1" in output) == (0, False)


def test_a_tokenizer_saved_again_by_transformers_is_the_same(template, toy, tmp_path):
    """Loaded and saved: whatever form its files take, nothing is found."""
    from transformers import AutoTokenizer

    folder = shutil.copytree(toy, tmp_path / "saved")
    AutoTokenizer.from_pretrained(toy).save_pretrained(folder)
    code, output = template(toy, folder)
    assert (code, "TOKN1" in output, "TMPL1" in output) == (0, False, False)


def test_templates_are_read_wherever_releases_put_them(template, toy, tmp_path):
    """chat_template.json alone, a second template that disagrees, one more by name: the same prompts, and a finding each."""
    text = (toy / "chat_template.jinja").read_text()
    older = shutil.copytree(toy, tmp_path / "older")
    (older / "chat_template.jinja").unlink()
    (older / "chat_template.json").write_text(json.dumps({"chat_template": text}))
    code, output = template(toy, older)
    assert (code, "TMPL122" in output) == (0, True)
    two = shutil.copytree(toy, tmp_path / "two")
    edit_json(two / "tokenizer_config.json", chat_template=text.replace("<|end|>", ""))
    code, output = template(toy, two)
    assert (code, "TMPL121" in output, "llama.cpp's converter" in output) == (0, True, True)
    named = shutil.copytree(toy, tmp_path / "named")
    (named / "chat_template.jinja").unlink()
    entries = [{"name": "default", "template": text}, {"name": "rag", "template": "x"}]
    edit_json(named / "tokenizer_config.json", chat_template=entries)
    code, output = template(toy, named)
    assert (code, "TMPL123" in output) == (0, True)


def test_a_stop_that_only_the_generation_config_held_is_missed(template, toy, tmp_path):
    """As Llama 3 ships: the end of turns is a stop by generation_config alone. Lost: BEYOND. One stop more: nothing."""
    ours = shutil.copytree(toy, tmp_path / "ours")
    edit_json(ours / "tokenizer_config.json", eos_token="<|start|>")
    start, end = 256, 257
    edit_json(ours / "config.json", eos_token_id=start)
    edit_json(ours / "generation_config.json", eos_token_id=[start, end])
    lost = shutil.copytree(ours, tmp_path / "lost")
    (lost / "generation_config.json").unlink()
    code, output = template(ours, lost)
    assert (code, "TOKN106" in output, "cause=template" in output) == (1, True, True)
    more = shutil.copytree(ours, tmp_path / "more")
    edit_json(more / "generation_config.json", eos_token_id=[start, end, 5])
    assert template(ours, more)[0] == 0

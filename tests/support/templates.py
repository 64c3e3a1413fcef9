"""Templates of our own, written for the tests."""

from __future__ import annotations

#: A template of our own that has everything: roles, tools, calls, results, reasoning, parts, a date, a switch.
EVERYTHING = """{{ bos_token }}<|start|>system
Today is {{ strftime_now('%d %B %Y') }}, made on {{ date_string if date_string is defined else '26 Jul 2024' }}.
{%- for m in messages %}{% if m.role == 'system' %} {{ m.content }}{% endif %}{% endfor %}
{%- if tools %}

# Tools
{% for t in tools %}{{ t | tojson }}
{% endfor %}
{%- endif %}
<|end|>
{% set ns = namespace(last=-1) %}
{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}
{% for m in messages %}
{% if m.role != 'system' %}
<|start|>{{ m.role }}
{% if m.reasoning_content and (loop.index0 > ns.last or m.tool_calls) %}<think>
{{ m.reasoning_content }}
</think>
{% endif %}
{% if m.content is undefined %}(nothing)
{%- elif m.content is string %}{{ m.content }}
{%- else %}
{%- for p in m.content %}
{%- if p.type == 'image' %}<image>{% else %}{{ p.text }}{% if not loop.last %} {% endif %}{% endif %}
{%- endfor %}
{%- endif %}
{%- for c in m.tool_calls or [] %}
<call id={{ c.id }}>{{ c.function.name }} {{ c.function.arguments | tojson }}</call>
{%- endfor %}
<|end|>
{% endif %}
{% endfor %}
{% if add_generation_prompt %}<|start|>assistant
{% if enable_thinking is defined and not enable_thinking %}<think>

</think>
{% elif enable_thinking is defined %}<think>
{% endif %}
{% if reasoning_effort is defined %}effort {{ reasoning_effort }}
{% endif %}
{% endif %}"""

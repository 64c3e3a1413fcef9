"""Templates of our own that write calls of tools in the shapes of the families that are out there."""

from __future__ import annotations

_HEAD = "{% for m in messages %}<|{{ m.role }}|>{{ m.content or '' }}{% if m.tool_calls %}"
_TAIL = "{% endif %}<|end|>\n{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
_EACH = "{% for c in m.tool_calls %}"
_ARGUMENTS = "{{ c.function.arguments | tojson }}"
_PAIRS = "{% for k, v in c.function.arguments.items() %}"
_VALUE = "{{ v if v is string else v | tojson }}"

_LOOSE = """{% macro loose(v) %}{% if v is string %}<q>{{ v }}<q>{% elif v is mapping %}{
{%- for k, w in v.items() %}{{ k }}:{{ loose(w) }}{% if not loop.last %},{% endif %}{% endfor %}}
{%- elif v is sequence %}[{% for w in v %}{{ loose(w) }}{% if not loop.last %},{% endif %}{% endfor %}]
{%- elif v is boolean %}{{ 'true' if v else 'false' }}{% else %}{{ v }}{% endif %}{% endmacro %}"""
_NESTED = """{% macro nested(v) %}{% if v is mapping %}
{%- for k, w in v.items() %}]~[<{{ k }}>{{ nested(w) }}]~[</{{ k }}>{% endfor %}
{%- elif v is sequence and v is not string %}{% for w in v %}]~[<item>{{ nested(w) }}]~[</item>{% endfor %}
{%- elif v is string %}{{ v }}{% else %}{{ v | tojson }}{% endif %}{% endmacro %}"""

_SHAPES = {
    "keywords": "<calls>["
    + _EACH
    + "{{ c.function.name }}({% for k, v in c.function.arguments.items() %}{{ k }}={{ v | tojson }}"
    "{% if not loop.last %}, {% endif %}{% endfor %}){% if not loop.last %}, {% endif %}{% endfor %}]</calls>",
    "bare keys": _EACH
    + "<|tool_call>call:{{ c.function.name }}{{ loose(c.function.arguments) }}<tool_call|>{% endfor %}",
    "tagged, key repeated": "]~[<tool_call>\n"
    + _EACH
    + ']~[<invoke name="{{ c.function.name }}">{{ nested(c.function.arguments) }}]~[</invoke>\n{% endfor %}]~[</tool_call>',
    "object in tags": _EACH
    + '\n<tool_call>\n{"name": "{{ c.function.name }}", "arguments": '
    + _ARGUMENTS
    + "}\n</tool_call>{% endfor %}",
    "objects in a list": "[TOOL_CALLS] ["
    + _EACH
    + "{{ {'name': c.function.name, 'arguments': c.function.arguments, 'id': c.id} | tojson }}"
    "{% if not loop.last %}, {% endif %}{% endfor %}]",
    "name, id, object": _EACH
    + "[TOOL_CALLS]{{ c.function.name }}[CALL_ID]{{ c.id }}[ARGS]"
    + _ARGUMENTS
    + "{% endfor %}",
    "bare object, one only": "{% if m.tool_calls | length != 1 %}{{ raise_exception('one call only') }}{% endif %}"
    '{"name": "{{ m.tool_calls[0].function.name }}", "parameters": {{ m.tool_calls[0].function.arguments | tojson }}}',
    "name inside the id": "<|calls_begin|>"
    + _EACH
    + "<|call_begin|>{{ c.id }}<|argument_begin|>"
    + _ARGUMENTS
    + "<|call_end|>{% endfor %}<|calls_end|>",
    "fenced object": "<|calls_begin|>"
    + _EACH
    + "<|call_begin|>function<|sep|>{{ c.function.name }}\n```json\n"
    + _ARGUMENTS
    + "\n```<|call_end|>{% if not loop.last %}\n{% endif %}{% endfor %}<|calls_end|>",
    "name in the tag": _EACH + "<function={{ c.function.name }}>" + _ARGUMENTS + "</function>{% endfor %}",
    "tagged, on lines": _EACH
    + "\n<tool_call>\n<function={{ c.function.name }}>\n"
    + _PAIRS
    + "<parameter={{ k }}>\n"
    + _VALUE
    + "\n</parameter>\n{% endfor %}</function>\n</tool_call>{% endfor %}",
    "tagged, invoke": "\n<m:tool_call>\n"
    + _EACH
    + '<invoke name="{{ c.function.name }}">\n'
    + _PAIRS
    + '<parameter name="{{ k }}">'
    + _VALUE
    + "</parameter>\n{% endfor %}</invoke>\n{% endfor %}</m:tool_call>",
    "tagged, key and value": _EACH
    + "\n<tool_call>{{ c.function.name }}\n"
    + _PAIRS
    + "<arg_key>{{ k }}</arg_key>\n<arg_value>"
    + _VALUE
    + "</arg_value>\n{% endfor %}</tool_call>{% endfor %}",
}
#: One template per shape.
SHAPES = {name: _LOOSE + _NESTED + _HEAD + shape + _TAIL for name, shape in _SHAPES.items()}

#: A template that shows a small model how to call before it asks: even one that was never taught to will do so.
SHOWING = """{% if tools %}<|im_start|>system
You call functions. Available:
{% for t in tools %}{{ t.function | tojson }}
{% endfor %}<|im_end|>
{% for t in tools[:2] %}<|im_start|>user
Please use {{ t.function.name }}.<|im_end|>
<|im_start|>assistant
<tool_call>
{"name": "{{ t.function.name }}", "arguments": {
{%- if t.function.parameters is defined and t.function.parameters.properties is defined %}
{%- for key in t.function.parameters.properties %}{% if loop.first %}"{{ key }}": "Rome"{% endif %}{% endfor %}
{%- endif %}}}
</tool_call><|im_end|>
{% endfor %}{% endif %}
{%- for m in messages %}
{%- if m.role == 'tool' %}<|im_start|>user
Result: {{ m.content }}<|im_end|>
{% elif m.role == 'assistant' %}<|im_start|>assistant
{{ m.content or '' }}{% for c in m.tool_calls or [] %}
<tool_call>
{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}
</tool_call>{% endfor %}<|im_end|>
{% else %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

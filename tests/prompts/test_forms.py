"""Structural forms: fields are found where they stand, and differences are named by field."""

from __future__ import annotations

import pytest

from harness.prompts.conversation import Conversation
from harness.prompts.forms import form_edits, marked, read_form

ASKED = Conversation(
    messages=(
        {"role": "system", "content": "s"},
        {"role": "user", "content": [{"type": "text", "text": "u"}]},
        {
            "role": "assistant",
            "content": "a",
            "reasoning_content": "r",
            "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {"x": "v", "n": 1}}}],
        },
    ),
    tools=({"type": "function", "function": {"name": "f", "description": "d"}},),
)


def test_every_field_gets_a_word_of_its_own():
    """Contents, parts, reasoning, string arguments and descriptions; names and numbers stay."""
    conversation, paths = marked(ASKED, hostile=False)
    assert set(paths.values()) == {
        "messages[0].content", "messages[1].content[0]", "messages[2].content", "messages[2].reasoning_content",
        "messages[2].tool_calls[0].arguments.x", "tools[0].description",
    }  # fmt: skip
    assert conversation.messages[2]["tool_calls"][0]["function"]["arguments"]["n"] == 1
    assert conversation.tools[0]["function"]["name"] == "f"


def rendered(order, hostile=False, end="|", middle=lambda text: text):
    conversation, paths = marked(ASKED, hostile=hostile)
    system, user, assistant = (
        conversation.messages[0]["content"],
        conversation.messages[1]["content"][0]["text"],
        conversation.messages[2]["content"],
    )
    fields = {"s": system, "u": user, "a": assistant}
    return read_form("".join(f"<{name}>{middle(fields[name])}{end}" for name in order) + "reply:", paths)


def test_literals_stand_between_the_fields():
    """What the renderer writes before each field, and after the last."""
    form = rendered("sua")
    assert [piece.before for piece in form.pieces] == ["<s>", "|<u>", "|<a>"]
    assert form.tail == "|reply:"
    assert form_edits(form, form) == []


@pytest.mark.parametrize(
    ("order", "kinds"),
    [("ua", {"lost", "before"}), ("usa", {"moved", "before"}), ("suas", set()), ("sau", {"moved"})],
)
def test_lost_and_moved_fields_are_named(order, kinds):
    """A dropped system message is 'lost', a swapped pair 'moved'; a field that stands twice counts where it stood first."""
    edits = form_edits(rendered("sua"), rendered(order))
    assert {edit.kind for edit in edits} - {"tail"} == kinds
    if order == "ua":
        assert edits[0].path == "messages[0].content"
    assert {e.kind for e in form_edits(rendered("ua"), rendered("sua"))} >= {"added"}


def test_other_literals_and_escapes_are_seen():
    """Another end of turn changes what stands before the next field; an escape shows in the hostile pass only."""
    edits = form_edits(rendered("sua"), rendered("sua", end="#"))
    assert [(e.kind, e.reference, e.candidate) for e in edits][:1] == [("before", "|<u>", "#<u>")]
    escaped = rendered("sua", middle=lambda text: text.replace("&", "&amp;"))
    assert form_edits(rendered("sua"), escaped) == []
    hostile = form_edits(
        rendered("sua", hostile=True), rendered("sua", hostile=True, middle=lambda text: text.replace("&", "&amp;"))
    )
    assert {edit.kind for edit in hostile} == {"middle"}
    stripped = form_edits(rendered("sua", hostile=True), rendered("sua", hostile=True, middle=str.strip))
    assert {edit.kind for edit in stripped} == {"before", "tail"}

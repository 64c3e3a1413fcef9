"""Prompts that servers show: asked once, and calls in the protocol's form where a host insists on it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from harness.prompts.conversation import BY_THE_HOST, Conversation
from harness.targets.endpoint.engines.model import ServedPrompt
from harness.targets.endpoint.served import ServedPrompts

CALL = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": {"place": "Zürich", "days": 2}}}
CALLING = Conversation(
    messages=(
        {"role": "user", "content": "How is it?"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "content": "wet", "tool_call_id": "1"},
    )
)


@dataclass
class Strict:
    """As vLLM 0.32.0 answers: objects as arguments are refused with its validator's words, texts are parsed."""

    name: str
    version: str = "0.32.0"
    asked: list[Conversation] = field(default_factory=list)

    def prompt(self, conversation: Conversation) -> ServedPrompt:
        self.asked.append(conversation)
        for message in conversation.messages:
            for call in message.get("tool_calls") or ():
                if not isinstance(call["function"]["arguments"], str):
                    return ServedPrompt(problem="400 Input should be a valid string [type=string_type]")
        return ServedPrompt(text="a prompt", ids=(1, 2))


@pytest.mark.parametrize(("engine", "outcome"), [("vLLM", "text"), ("SGLang", "text"), ("Ollama", "refused")])
def test_calls_go_out_as_the_protocol_has_them_where_objects_are_refused(engine, outcome):
    """Only to engines that are known to parse them: others would render another prompt."""
    strict = Strict(engine)
    served = ServedPrompts(strict)
    (prompt,) = served.prompts([CALLING])
    assert prompt.rendered.outcome == outcome
    assert served.prompts([CALLING]) == [prompt]
    assert len(strict.asked) == (2 if outcome == "text" else 1)
    if outcome == "text":
        sent = strict.asked[1].messages[1]["tool_calls"][0]["function"]["arguments"]
        assert sent == '{"place": "Zürich", "days": 2}'
        assert strict.asked[1].messages[0] == CALLING.messages[0]
    else:
        assert prompt.rendered.problem.startswith(BY_THE_HOST)


def test_other_refusals_are_not_asked_again():
    """A conversation without calls has one form only."""
    strict = Strict("vLLM")
    strict.prompt = lambda conversation: strict.asked.append(conversation) or ServedPrompt(problem="400 no")
    ServedPrompts(strict).prompts([Conversation(messages=({"role": "user", "content": "a"},))])
    assert len(strict.asked) == 1

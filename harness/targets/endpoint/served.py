"""The prompts of a server that shows them: asked once each, in the form that benches of local files have."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from harness.prompts.conversation import BY_THE_HOST, Conversation, Rendered
from harness.prompts.forms import Form, marked, read_form
from harness.prompts.variants import Prompt
from harness.targets.endpoint.engines import Engine, ServedPrompt

#: Stands for the text where an engine shows nothing but ids.
_PARSING = frozenset({"vLLM", "SGLang"})  # whatever the template; llama.cpp does so for some templates only
ONLY_IDS = "(only ids are shown)"


class ServedPrompts:
    """Asks an engine for prompts; answers are kept, so that no conversation is asked twice.

    One that parses the arguments of calls is given them as text where it takes no objects: the prompt is the same.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._kept: dict[str, ServedPrompt] = {}
        self._parses = engine.name in _PARSING

    def prompts(self, conversations: Sequence[Conversation]) -> list[Prompt]:
        """The prompts of conversations; one that the host refuses has no text, and the refusal as its problem."""
        shown = [self._ask(conversation) for conversation in conversations]
        with_ids = any(one.ids is not None for one in self._kept.values())
        return [_prompt(one, with_ids=with_ids) for one in shown]

    def form(self, conversation: Conversation, *, hostile: bool) -> Form | None:
        """The structural form of one prompt, where the engine shows texts."""
        asked, paths = marked(conversation, hostile=hostile)
        text = self._ask(asked).text
        return None if text is None else read_form(text, paths)

    def _ask(self, conversation: Conversation) -> ServedPrompt:
        key = conversation.model_dump_json()
        if key not in self._kept:
            shown = self.engine.prompt(conversation)
            wired = arguments_as_text(conversation)
            if self._parses and shown.text is None and shown.ids is None and wired != conversation:
                shown = self.engine.prompt(wired)
            self._kept[key] = shown
        return self._kept[key]


def arguments_as_text(conversation: Conversation) -> Conversation:
    """Arguments of calls as the protocol has them: JSON in a text, which an engine that parses it turns into the same object."""
    return conversation.model_copy(update={"messages": tuple(_wired(message) for message in conversation.messages)})


def _wired(message: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return dict(message)
    return {**message, "tool_calls": [_call(call) for call in calls]}


def _call(call: JsonValue) -> JsonValue:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(call, dict) or not isinstance(function, dict) or not isinstance(function.get("arguments"), dict):
        return call
    text = json.dumps(function["arguments"], ensure_ascii=False)
    return {**call, "function": {**function, "arguments": text}}


def _prompt(shown: ServedPrompt, *, with_ids: bool) -> Prompt:
    """As a prompt; ids that are missing where others have some were lost on the way, and nothing was observed."""
    if with_ids and shown.ids is None and shown.text is not None:
        return Prompt(Rendered(outcome="refused", problem=f"{BY_THE_HOST}no ids for this text"))
    if shown.text is None and shown.ids is None:
        return Prompt(Rendered(outcome="refused", problem=BY_THE_HOST + shown.problem))
    return Prompt(Rendered(outcome="text", text=ONLY_IDS if shown.text is None else shown.text), shown.ids)

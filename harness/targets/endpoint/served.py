"""The prompts of a server that shows them: asked once each, in the form that benches of local files have."""

from __future__ import annotations

from collections.abc import Sequence

from harness.prompts.conversation import BY_THE_HOST, Conversation, Rendered
from harness.prompts.forms import Form, marked, read_form
from harness.prompts.variants import Prompt
from harness.targets.endpoint.engines import Engine, ServedPrompt

#: Stands for the text where an engine shows nothing but ids.
ONLY_IDS = "(only ids are shown)"


class ServedPrompts:
    """Asks an engine for prompts; answers are kept, so that no conversation is asked twice."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._kept: dict[str, ServedPrompt] = {}

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
            self._kept[key] = self.engine.prompt(conversation)
        return self._kept[key]


def _prompt(shown: ServedPrompt, *, with_ids: bool) -> Prompt:
    """As a prompt; ids that are missing where others have some were lost on the way, and nothing was observed."""
    if with_ids and shown.ids is None and shown.text is not None:
        return Prompt(Rendered(outcome="refused", problem=f"{BY_THE_HOST}no ids for this text"))
    if shown.text is None and shown.ids is None:
        return Prompt(Rendered(outcome="refused", problem=BY_THE_HOST + shown.problem))
    return Prompt(Rendered(outcome="text", text=ONLY_IDS if shown.text is None else shown.text), shown.ids)

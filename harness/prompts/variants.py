"""What the reference's prompts become under faults: requests changed, rendered, changed as text, tokenised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.prompts.conversation import REFERENCE_DIALECT, Conversation, Dialect, Rendered
from harness.prompts.faults import Family, Fault, Request
from harness.prompts.forms import Form, marked, read_form
from harness.prompts.jinja.process import Pieces, PromptProcess

_EXCHANGE = Conversation(
    messages=(
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    )
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt: its rendering, and its ids where a tokenizer was given and the rendering is text."""

    rendered: Rendered
    ids: tuple[int, ...] | None = None

    @property
    def text(self) -> str | None:
        """The rendered text, or None."""
        return self.rendered.text if self.rendered.outcome == "text" else None

    @property
    def count(self) -> int | None:
        """The number of tokens, as an endpoint would bill it."""
        return None if self.ids is None else len(self.ids)


class Bench:
    """Makes prompts of one family, sound or faulty; renderings that several faults share are made once."""

    def __init__(
        self,
        process: PromptProcess,
        family: Family,
        tokenizer: Path | None = None,
        dialect: Dialect = REFERENCE_DIALECT,
    ) -> None:
        self.family = read_family(process, family)
        self._dialect = dialect
        self._process = process
        self._tokenizer = tokenizer
        self._rendered: dict[str, Rendered] = {}
        self._ids: dict[bool, dict[tuple[tuple[str, bool], ...], tuple[int, ...] | None]] = {True: {}, False: {}}

    def starts_with_bos(self) -> bool:
        """Whether the template itself puts the begin-of-text token."""
        (plain,) = self.prompts([Conversation(messages=({"role": "user", "content": "a"},))])
        return bool(self.family.bos) and (plain.text or "").startswith(self.family.bos)

    def form(self, conversation: Conversation, *, hostile: bool) -> Form | None:
        """The structural form of a sound rendering; None where there is no rendering."""
        asked, paths = marked(conversation, hostile=hostile)
        (made,) = self.prompts([asked])
        return None if made.text is None else read_form(made.text, paths)

    def prompts(self, conversations: Sequence[Conversation], faults: Sequence[Fault] = ()) -> list[Prompt]:
        """The prompts of conversations under faults, applied in order."""
        requests = []
        for conversation in conversations:
            request = Request(conversation, self.family.template, self._dialect)
            for fault in faults:
                request = fault.request(request, self.family) if fault.request else request
            requests.append(request)
        made = []
        for request, rendered in zip(requests, self._render(requests), strict=True):
            text = rendered.text
            if rendered.outcome == "text":
                for fault in sorted(faults, key=lambda one: one.outermost):
                    text = fault.text(text, request.conversation, self.family) if fault.text else text
            ids = rendered.ids if text == rendered.text else None  # an encoder's ids are those of its own text
            made.append(rendered.model_copy(update={"text": text, "ids": ids}))
        plain = any(fault.controls == "text" for fault in faults)
        normalized = all(fault.normalized for fault in faults)
        asked = [request.conversation for request in requests]
        found_ids = self._encode(made, asked, plain=plain, normalized=normalized)
        return [Prompt(rendered, found) for rendered, found in zip(made, found_ids, strict=True)]

    def _template(self, request: Request) -> str:
        """The template of a request: transformers takes the one called ``tool_use`` wherever tools are given."""
        own = request.template == self.family.template
        tools = request.conversation.tools is not None
        return self.family.tool_template if own and tools and self.family.tool_template else request.template

    def _made(self, template: str, conversations: Sequence[Conversation], dialect: Dialect) -> list[Rendered]:
        return make(self._process, replace(self.family, template=template), conversations, dialect)

    def _render(self, requests: list[Request]) -> list[Rendered]:
        keys = [_key(request) for request in requests]
        missing = {key: request for key, request in zip(keys, requests, strict=True) if key not in self._rendered}
        groups: dict[tuple[str, str], list[str]] = {}
        for key, request in missing.items():
            groups.setdefault((self._template(request), request.dialect.model_dump_json()), []).append(key)
        for (template, _), members in groups.items():
            conversations = [missing[key].conversation for key in members]
            dialect = missing[members[0]].dialect
            outcomes = self._made(template, conversations, dialect)
            self._rendered.update(zip(members, outcomes, strict=True))
        return [self._rendered[key] for key in keys]

    def _encode(
        self, rendered: list[Rendered], conversations: list[Conversation], *, plain: bool, normalized: bool
    ) -> list[tuple[int, ...] | None]:
        if self._tokenizer is None:
            return [one.ids for one in rendered]  # an encoder brings its own
        known = self._ids[normalized]
        pieces = [
            tuple(_user_pieces(one.text, conversation)) if plain else ((one.text, False),)
            for one, conversation in zip(rendered, conversations, strict=True)
        ]
        needed = (p for p, one in zip(pieces, rendered, strict=True) if one.ids is None and p not in known)
        missing = list(dict.fromkeys(needed))
        if missing:
            found = self._process.encode(self._tokenizer, [list(p) for p in missing], normalized=normalized)
            known.update(zip(missing, found, strict=True))
        return [
            None if one.outcome != "text" else known[p] if one.ids is None else one.ids
            for p, one in zip(pieces, rendered, strict=True)
        ]


def _key(request: Request) -> str:
    return f"{request.conversation.model_dump_json()}|{request.dialect.model_dump_json()}|{request.template}"


def _user_pieces(text: str, conversation: Conversation) -> Pieces:
    """The text cut so that users' own words stand in plain pieces."""
    pieces: Pieces = []
    cursor = 0
    for message in conversation.messages:
        content = message.get("content")
        if message.get("role") not in {"user", "tool"} or not isinstance(content, str) or not content.strip():
            continue
        words = content if content in text[cursor:] else content.strip()
        at = text.find(words, cursor)
        if at >= 0:
            pieces += [(text[cursor:at], False), (words, True)]
            cursor = at + len(words)
    return [piece for piece in [*pieces, (text[cursor:], False)] if piece[0]]


def make(
    process: PromptProcess,
    family: Family,
    conversations: Sequence[Conversation],
    dialect: Dialect = REFERENCE_DIALECT,
) -> list[Rendered]:
    """Render by the family's template, or by its encoder where there is no template."""
    if family.encoder and not family.template:
        timed = [
            one.model_copy(update={"options": {"clock": dialect.clock} | dict(one.options)}) for one in conversations
        ]
        return process.run_encoder(family.encoder, Path(family.encoder_file), timed)
    return process.render(family.template, conversations, family.variables, dialect)


_CALLING = Conversation(
    messages=(
        {"role": "user", "content": "a"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "Rk7vQ2mXa", "type": "function", "function": {"name": "look_up", "arguments": {"word": "b"}}}
            ],
        },
        {"role": "tool", "tool_call_id": "Rk7vQ2mXa", "name": "look_up", "content": "c"},
        {"role": "user", "content": "d"},
    ),
    tools=(
        {"type": "function", "function": {"name": "look_up", "description": "e", "parameters": {"type": "object"}}},
    ),
)


def after_replies(bench: Bench) -> list[str]:
    """What a template writes between a reply, a text or a call, and the turn after it."""
    found = []
    for conversation, last in (
        (_EXCHANGE, "messages[1].content"),
        (_CALLING, "messages[1].tool_calls[0].arguments.word"),
    ):
        form = bench.form(conversation, hostile=False)
        places = form.paths if form else ()
        if form and last in places and places.index(last) + 1 < len(places):
            found.append(form.pieces[places.index(last) + 1].before)
    return found


def read_family(process: PromptProcess, family: Family) -> Family:
    """Fill in what a rendering tells of a family: how an assistant's turn ends, and the header of the reply."""
    conversation, paths = marked(_EXCHANGE, hostile=False)
    closed = conversation.model_copy(update={"generation": False})
    with_header, without = make(process, family, [conversation, closed])
    if with_header.outcome != "text" or without.outcome != "text":
        return family
    opening = with_header.text.removeprefix(without.text) if with_header.text.startswith(without.text) else ""
    form = read_form(without.text, paths)
    if form.paths != ("messages[0].content", "messages[1].content", "messages[2].content"):
        return replace(family, opening=opening)
    return replace(family, turn_end=_turn_end(form.pieces[2].before, form.tail), opening=opening)


def _turn_end(between: str, tail: str) -> str:
    """What follows an assistant's words, up to the end of the first control word in it."""
    text = between.lstrip()
    for opening, closing in (("<", ">"), ("[", "]")):
        if text.startswith(opening) and closing in text:
            return text[: text.index(closing) + 1]
    shared = 0
    while shared < min(len(between), len(tail)) and between[shared] == tail[shared]:
        shared += 1
    return between[:shared].strip()

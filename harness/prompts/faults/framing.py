"""Faults of the frame: begin and end of text, ends of turns, the header of the reply, whitespace, the whole template."""

from __future__ import annotations

from dataclasses import replace

from harness.prompts.conversation import Conversation
from harness.prompts.faults.model import Family, Fault, Message, Request, each_text

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def _double_bos(text: str, _: Conversation, family: Family) -> str:
    return family.bos + text if family.bos and text.startswith(family.bos) else text


def _missing_bos(text: str, _: Conversation, family: Family) -> str:
    return text.removeprefix(family.bos) if family.bos else text


def _turn_end_missing(text: str, conversation: Conversation, family: Family) -> str:
    """Drop the end of every finished assistant turn: the next one after its words, or after its header without words."""
    if not family.turn_end:
        return text
    cursor = 0
    for number, message in enumerate(conversation.messages):
        assistant = message.get("role") == "assistant"
        begins = _words(message) or (family.opening if assistant else "")
        found = text.find(begins, cursor) if begins else -1
        if found < 0:
            continue
        cursor = found + len(begins)
        open_reply = conversation.continue_final and number + 1 == len(conversation.messages)
        if not assistant or open_reply:
            continue
        end = text.find(family.turn_end, cursor)
        following = next((words for later in conversation.messages[number + 1 :] if (words := _words(later))), "")
        after = text.find(following, cursor) if following else -1
        if end >= 0 and (after < 0 or end < after):
            text = text[:end] + text[end + len(family.turn_end) :]
    return text


def _words(message: Message) -> str:
    content = message.get("content")
    return content.strip() if isinstance(content, str) else ""


def _no_generation_prompt(request: Request, _: Family) -> Request:
    return _generation(request, wanted=False)


def _generation(request: Request, *, wanted: bool) -> Request:
    conversation = request.conversation.model_copy(update={"generation": wanted})
    return Request(conversation, request.template, request.dialect)


def _double_generation_prompt(text: str, conversation: Conversation, family: Family) -> str:
    doubled = conversation.generation and family.opening and text.endswith(family.opening)
    return text + family.opening if doubled else text


def _prefill_closed(request: Request, _: Family) -> Request:
    conversation = request.conversation
    if not conversation.continue_final:
        return request
    return Request(conversation.model_copy(update={"continue_final": False}), request.template, request.dialect)


def _prefill_header_added(request: Request, family: Family) -> Request:
    return (
        _generation(_prefill_closed(request, family), wanted=True) if request.conversation.continue_final else request
    )


def _blocks_untrimmed(request: Request, _: Family) -> Request:
    return request.under(trim_blocks=False)


def _contents_stripped(request: Request, _: Family) -> Request:
    return each_text(request, str.strip, parts=False)


def _last_newline_lost(text: str, _: Conversation, __: Family) -> str:
    return text.rstrip("\n")


def _leading_space(text: str, _: Conversation, __: Family) -> str:
    return " " + text


def _chatml(request: Request, _: Family) -> Request:
    return Request(request.conversation, CHATML, request.dialect)


_OPEN = "x_open_reply"  # a template variable of ours that no template reads


def _prefill_taken_off(request: Request, _: Family) -> Request:
    conversation = request.conversation
    last = conversation.messages[-1].get("content") if conversation.continue_final else None
    if not isinstance(last, str):
        return request
    kept = {"messages": conversation.messages[:-1], "generation": True, "continue_final": False}
    # a reply that has begun thinks no more
    options = conversation.options | {_OPEN: last, "enable_thinking": False}
    return replace(request, conversation=conversation.model_copy(update=kept | {"options": options}))


def _prefill_put_back(text: str, conversation: Conversation, _: Family) -> str:
    return text + str(conversation.options.get(_OPEN, ""))


#: Not a fault: with a sound template it gives the same prompt. What a faulty template makes of it is another matter.
PREFILL_APPENDED = Fault(
    "prefill-appended", "framing", "S1", "a reply to be continued is put behind the header of the reply",
    request=_prefill_taken_off, text=_prefill_put_back, outermost=True,
)  # fmt: skip

FRAMING = (
    Fault("double-bos", "framing", "S2", "the begin-of-text token stands twice", text=_double_bos),
    Fault("missing-bos", "framing", "S2", "the begin-of-text token is missing", text=_missing_bos),
    Fault("turn-end-missing", "framing", "S3", "finished assistant turns are not closed", text=_turn_end_missing),
    Fault(
        "no-generation-prompt", "framing", "S3", "the header of the reply is missing", request=_no_generation_prompt
    ),
    Fault(
        "double-generation-prompt", "framing", "S3", "the header of the reply stands twice",
        text=_double_generation_prompt,
    ),
    Fault("prefill-closed", "framing", "S3", "a message to be continued is closed", request=_prefill_closed),
    Fault(
        "prefill-header-added", "framing", "S3", "a message to be continued is closed and a new turn opened",
        request=_prefill_header_added,
    ),
    Fault("blocks-untrimmed", "framing", "S1", "newlines of the template's own lines are kept", request=_blocks_untrimmed),
    Fault("contents-stripped", "framing", "S1", "whitespace around contents is cut off", request=_contents_stripped),
    Fault("last-newline-lost", "framing", "S1", "the newline at the end of the prompt is cut off", text=_last_newline_lost),
    Fault("leading-space", "framing", "S1", "a space is put in front of the prompt", text=_leading_space),
    Fault("chatml-fallback", "source", "S3", "ChatML is used instead of the model's own template", request=_chatml),
)  # fmt: skip

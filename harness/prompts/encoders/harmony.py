"""Prompts by openai-harmony, the program that defines the format of gpt-oss; its vocabulary is ``o200k_base.tiktoken``.

Only what the format's published guide gives a place to is encoded: one leading system or developer message (it becomes
the developer's instructions), users' texts, replies with reasoning and calls, and tools' answers. Anything else is
refused, because a guess here would be held against a host.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.prompts.conversation import FROZEN_CLOCK, Conversation

_FILE = "o200k_base.tiktoken"  # the name under which the package looks for its vocabulary
_REASONING = ("reasoning_content", "reasoning", "thinking")


def load(path: str) -> Any:
    """The encoder on its vocabulary; returns a function from a conversation to ``(text, ids)``.

    The package checks the file's SHA-256 itself. Raises ValueError for another file.
    """
    import openai_harmony as harmony  # noqa: PLC0415

    folder = Path(tempfile.mkdtemp(prefix="fidelity-harmony-"))
    try:
        shutil.copyfile(path, folder / _FILE)
        os.environ["TIKTOKEN_ENCODINGS_BASE"] = str(folder)
        encoding = harmony.load_harmony_encoding(harmony.HarmonyEncodingName.HARMONY_GPT_OSS)
    except harmony.HarmonyError as error:
        raise ValueError(f"not the vocabulary of openai-harmony: {error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)

    def encode(conversation: Conversation) -> tuple[str, list[int]]:
        try:
            messages = harmony.Conversation.from_messages(_messages(harmony, conversation))
            if conversation.generation:
                ids = encoding.render_conversation_for_completion(messages, harmony.Role.ASSISTANT)
            else:
                ids = encoding.render_conversation(messages)
        except (harmony.HarmonyError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error
        return str(encoding.decode_utf8(ids)), [int(i) for i in ids]

    return encode


def _messages(harmony: Any, conversation: Conversation) -> list[Any]:
    """The package's own messages: the system's header, the developer's instructions and tools, then the turns."""
    if conversation.continue_final:
        raise ValueError("the format's guide has no place for a reply that goes on")
    effort = str(conversation.options.get("reasoning_effort", "medium")).capitalize()
    header = harmony.SystemContent.new().with_reasoning_effort(harmony.ReasoningEffort(effort))
    day = datetime.fromisoformat(str(conversation.options.get("clock", FROZEN_CLOCK)))
    header = header.with_conversation_start_date(f"{day:%Y-%m-%d}")
    turns = [{k: v for k, v in message.items() if v is not None} for message in conversation.messages]
    developer = harmony.DeveloperContent.new()
    if turns and turns[0]["role"] in ("system", "developer"):
        instructions = _text(turns.pop(0))
        developer = developer.with_instructions(instructions) if instructions else developer
    if conversation.tools:
        developer = developer.with_function_tools([_tool(harmony, tool) for tool in conversation.tools])
    found = [harmony.Message.from_role_and_content(harmony.Role.SYSTEM, header)]
    if developer.instructions is not None or developer.tools:
        found.append(harmony.Message.from_role_and_content(harmony.Role.DEVELOPER, developer))
    names: dict[str, str] = {}
    for turn in turns:
        found += _turn(harmony, turn, names)
    return found


def _turn(harmony: Any, turn: dict[str, Any], names: dict[str, str]) -> list[Any]:
    """One message of a request as the format's messages; ``names`` remembers which call bears which tool's name."""
    role = turn["role"]
    if role == "user":
        return [harmony.Message.from_role_and_content(harmony.Role.USER, _text(turn))]
    if role == "tool":
        name = str(turn.get("name") or names[str(turn["tool_call_id"])])
        author = harmony.Author.new(harmony.Role.TOOL, f"functions.{name}")
        answer = harmony.Message.from_author_and_content(author, _text(turn))
        return [answer.with_recipient("assistant").with_channel("commentary")]
    if role != "assistant":
        raise ValueError(f"the format's guide has no place for a later message of role {role!r}")
    found = []
    for key in _REASONING:
        if turn.get(key):
            found.append(_said(harmony, str(turn[key]), "analysis"))
            break
    calls = turn.get("tool_calls") or []
    if _text(turn) or not (calls or found):
        found.append(_said(harmony, _text(turn), "commentary" if calls else "final"))
    for call in calls:
        function = call["function"]
        arguments = function["arguments"]
        said = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        names[str(call.get("id"))] = str(function["name"])
        one = _said(harmony, said, "commentary").with_recipient(f"functions.{function['name']}")
        found.append(one.with_content_type("<|constrain|>json"))
    return found


def _said(harmony: Any, text: str, channel: str) -> Any:
    """Something that the assistant said on a channel."""
    return harmony.Message.from_role_and_content(harmony.Role.ASSISTANT, text).with_channel(channel)


def _tool(harmony: Any, tool: dict[str, Any]) -> Any:
    """A tool's description."""
    function = tool["function"]
    return harmony.ToolDescription.new(
        str(function["name"]), str(function.get("description", "")), parameters=function.get("parameters")
    )


def _text(message: dict[str, Any]) -> str:
    """The text of a message; several text parts are one. Raises ValueError for pictures and sounds."""
    content = message.get("content", "")
    if isinstance(content, str):
        return content
    if not all(isinstance(part, dict) and part.get("type") == "text" for part in content):
        raise ValueError("the format has no place for anything but text")
    return "".join(str(part["text"]) for part in content)

"""The checkpoint's own tokenizer and chat template, used in the isolated process only: both are untrusted programs."""

from __future__ import annotations

import datetime
import json
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from harness.errors import BrokenCheckpoint, NoChatTemplate
from harness.prompts.conversation import FROZEN_CLOCK
from harness.prompts.sequences import label_segments
from harness.suites.model import Message
from harness.targets.checkpoint.json_files import read_json
from harness.targets.checkpoint.pretokenizers import drop_library_words, mend
from harness.targets.gguf_file import read_gguf
from harness.targets.spec import TargetSpec
from harness.targets.template_files import LEGACY, SETTINGS, read_template_files

_CLOCK = datetime.datetime.fromisoformat(FROZEN_CLOCK)
_MAX_RENDERED = 4 << 20


def load_tokenizer(spec: TargetSpec) -> Any:
    """The checkpoint's fast tokenizer."""
    from transformers import AutoTokenizer  # noqa: PLC0415

    path = Path(spec.base)
    options: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
    if spec.in_gguf:
        path = read_gguf(path).parts[0]  # of several parts the first holds the vocabulary
        options["gguf_file"] = path.name
        path = path.parent
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(path), **options)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BrokenCheckpoint(
            f"the tokenizer cannot be loaded: {str(error).strip().splitlines()[0][:200]}",
            where=spec.base,
            fix="convert the model again with a current llama.cpp"
            if spec.in_gguf
            else "the folder needs tokenizer.json (and tokenizer_config.json); copy them from the release",
        ) from error
    if spec.in_gguf:
        drop_library_words(tokenizer, Path(spec.base))
        tokenizer.is_faithful = mend(tokenizer.backend_tokenizer, Path(spec.base))
    else:  # the same file as everywhere here, whatever the installed version of the library looks for
        settings, legacy = read_json(path / SETTINGS), read_json(path / LEGACY)
        tokenizer.chat_template = read_template_files(path, settings, legacy).chosen or tokenizer.chat_template
    return tokenizer


def silent_ids(tokenizer: Any) -> NDArray[np.bool_]:
    """For every id, whether it stands for no text of its own: a control token, nothing, or a piece of a character.

    What is in the vocabulary twice (a real U+FFFD) is taken for a piece: one audible token less costs nothing.
    """
    out = np.zeros(len(tokenizer), dtype=bool)
    special = set(tokenizer.all_special_ids)
    added = tokenizer.added_tokens_decoder
    for token in range(len(tokenizer)):
        control = token in special or (token in added and added[token].special)
        text = "" if control else tokenizer.decode([token], clean_up_tokenization_spaces=False)
        out[token] = not text or "\ufffd" in text
    return out


def spelled(tokenizer: Any, ids: list[int], text: str) -> tuple[int, bool, str]:
    """How many leading ids spell a beginning of ``text``, whether they spell all of it, and the next character to be spelled.

    Gateways trim blanks and compose characters; ids that spell the text but for that spell all of it.
    """

    def says(count: int) -> str:
        return str(tokenizer.decode(ids[:count], clean_up_tokenization_spaces=False))

    if any(not 0 <= token < len(tokenizer) for token in ids):
        return 0, not text, text.lstrip()[:1]
    if says(len(ids)) == text or plain_text(says(len(ids))) == plain_text(text):
        return len(ids), True, ""
    # the ids hold no pieces of characters, so each spells on: a beginning fits if and only if all shorter ones do
    low, high = 0, len(ids)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if text.startswith(says(middle)) else (low, middle - 1)
    rest = text[len(says(low)) :]
    return low, not rest, rest.lstrip()[:1]


def plain_text(text: str) -> str:
    """A text without what gateways change on the way: blanks at its ends, uncomposed characters, a cut last character."""
    return unicodedata.normalize("NFC", text).strip().rstrip("\ufffd").rstrip()


def recut(tokenizer: Any, text: str) -> list[int]:
    """The ids that the tokenizer makes of a reply's text; a model may have written it in other pieces."""
    return [int(i) for i in tokenizer(plain_text(text), add_special_tokens=False)["input_ids"]]


def ids_of_bytes(tokenizer: Any, names: Sequence[str]) -> list[int]:
    """The id of each token, given as the bytes that it spells (as Latin-1); -1 where no id or more than one spells them.

    Hosts write a replacement character for every piece of one: it names nobody. Of a byte and a letter that spell the same the
    letter is meant.
    """
    known: dict[bytes, int] = {}
    raw: set[bytes] = set()
    for token in range(len(tokenizer)):
        spelled_bytes = _bytes_of(tokenizer, token)
        if str(tokenizer.convert_ids_to_tokens(token)).startswith("<0x"):
            raw.add(spelled_bytes)
            known.setdefault(spelled_bytes, token)
        elif spelled_bytes in raw:
            raw.discard(spelled_bytes)
            known[spelled_bytes] = token
        else:
            known[spelled_bytes] = -1 if spelled_bytes in known else token
    broken = "\ufffd".encode()
    wanted = [name.encode("latin-1", "replace") for name in names]
    return [-1 if broken in one else known.get(one, -1) for one in wanted]


def _bytes_of(tokenizer: Any, token: int) -> bytes:
    """What an id spells inside a text: byte-level vocabularies write bytes as letters, others as ``<0x0A>``."""
    piece = str(tokenizer.convert_ids_to_tokens(token))
    if token in tokenizer.added_tokens_decoder:
        return piece.encode()
    if all(letter in _LETTERS for letter in piece) and "\u2581" not in piece:
        level = getattr(tokenizer.backend_tokenizer, "decoder", None)
        if level is None or "ByteLevel" in str(level):
            return bytes(_LETTERS[letter] for letter in piece)
    if len(piece) == _BYTE_PIECE and piece.startswith("<0x"):
        return bytes([int(piece[3:5], 16)])
    return piece.replace("\u2581", " ").encode()


def _letters() -> dict[str, int]:
    """The letters by which byte-level vocabularies write bytes: printable ones stand for themselves."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(b): b for b in plain} | {chr(256 + place): byte for place, byte in enumerate(others)}


_LETTERS = _letters()
_BYTE_PIECE = len("<0x0A>")


def encode_text(tokenizer: Any, text: str, *, spans: bool) -> dict[str, JsonValue]:
    """Ids of a plain text with the tokenizer's own special tokens, and the characters that each stands for."""
    if not spans or not tokenizer.is_fast:  # only fast tokenizers know where their tokens come from
        return {"ids": [int(i) for i in tokenizer(text)["input_ids"]]}
    encoded = tokenizer(text, return_offsets_mapping=True)
    return {
        "ids": [int(i) for i in encoded["input_ids"]],
        "spans": [[int(a), int(b)] for a, b in encoded["offset_mapping"]],
    }


def encode_chat(tokenizer: Any, messages: tuple[Message, ...], *, open_reply: bool, where: str) -> dict[str, JsonValue]:
    """Rendered text, ids and segments of a conversation; ``open_reply`` adds the generation prompt.

    The text is tokenised without further special tokens: the template has put them where it wants them.
    """
    if not tokenizer.chat_template:
        raise NoChatTemplate(
            "this model ships no chat template, but the suite has chat items",
            where=where,
            fix="copy chat_template.jinja from the vendor's release, or choose --suite without chat items",
        )
    rendered = render_chat(tokenizer, messages, open_reply=open_reply, where=where)
    encoded = tokenizer(rendered, add_special_tokens=False, return_offsets_mapping=True)
    offsets = [(int(a), int(b)) for a, b in encoded["offset_mapping"]]
    segments = label_segments(rendered, offsets, messages)
    return {
        "text": rendered,
        "ids": [int(i) for i in encoded["input_ids"]],
        "segments": [int(code) for code in segments],
    }


def render_tools(
    tokenizer: Any,
    messages: Sequence[dict[str, Any]],
    tools: Sequence[dict[str, Any]],
    *,
    open_reply: bool,
    as_text: bool,
) -> str:
    """A conversation with tools, calls and results as its template renders it; raises ValueError where the template refuses.

    Arguments of calls are handed over as objects, as engines do, or ``as_text`` for templates that want them so.
    """
    from jinja2.exceptions import TemplateError  # noqa: PLC0415

    if not tokenizer.chat_template:
        raise ValueError("the model ships no chat template")
    turns = [message | _calls_of(message, as_text=as_text) for message in messages]
    try:
        rendered = str(
            tokenizer.apply_chat_template(
                turns,
                tools=[dict(tool) for tool in tools] or None,
                tokenize=False,
                add_generation_prompt=open_reply,
                strftime_now=_CLOCK.strftime,
            )
        )
    except (TemplateError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}") from error
    if len(rendered) > _MAX_RENDERED:
        raise ValueError("it wrote more than 4 MiB of text")
    return rendered


def _calls_of(message: dict[str, Any], *, as_text: bool) -> dict[str, Any]:
    """The calls of a message with their arguments as objects, or as texts."""
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return {}

    def turned(arguments: Any) -> Any:
        value = json.loads(arguments) if isinstance(arguments, str) else arguments
        return json.dumps(value, ensure_ascii=False) if as_text else value

    return {
        "tool_calls": [
            call | {"function": call["function"] | {"arguments": turned(call["function"]["arguments"])}}
            for call in calls
        ]
    }


def render_chat(
    tokenizer: Any, messages: tuple[Message, ...], *, open_reply: bool, where: str, begun: bool = False
) -> str:
    """A conversation as its template renders it; ``begun`` leaves the last message open, to be written on."""
    from jinja2.exceptions import TemplateError  # noqa: PLC0415

    turns = [{"role": message.role, "content": message.content} for message in messages]
    try:
        rendered = tokenizer.apply_chat_template(
            turns,
            tokenize=False,
            add_generation_prompt=open_reply,
            continue_final_message=begun,
            strftime_now=_CLOCK.strftime,
        )
    except (TemplateError, TypeError, ValueError) as error:
        raise BrokenCheckpoint(
            f"the chat template fails on a plain conversation: {str(error).splitlines()[0][:200]}",
            where=where,
            fix="repair chat_template.jinja or take the vendor's",
        ) from error
    if len(rendered) > _MAX_RENDERED:
        raise BrokenCheckpoint("the chat template produced more than 4 MiB of text", where=where)
    return str(rendered)

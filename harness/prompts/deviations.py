"""Deliberate deviations: where an engine's documented rules are not those of the reference renderer.

A prompt that differs only by these is what the engine's makers meant it to be. It is told, with its source, and not
held against whoever runs the engine.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.prompts.conversation import Conversation
from harness.prompts.diagnosis import Reading
from harness.prompts.faults import Fault, fault
from harness.prompts.faults.framing import PREFILL_APPENDED
from harness.prompts.variants import Bench


@dataclass(frozen=True, slots=True)
class Deviation:
    """A rule of some engines, as the fault of the library that has the same effect.

    ``since`` and ``until`` are the builds between which it was seen, in the order of ``engines``, empty where there is no
    bound. ``always`` marks a rule that shows only together with a fault, so that nothing observed can speak for or against it.
    """

    engines: tuple[str, ...]
    name: str
    since: str
    until: str
    source: str
    why: str
    always: bool = False

    @property
    def fault(self) -> Fault:
        """The change of the prompt."""
        return PREFILL_APPENDED if self.name == PREFILL_APPENDED.name else fault(self.name)

    def covers(self, version: str) -> bool:
        """Whether the rule may hold in a version. ``since`` is where it was first seen, not where it began: what an older
        build does otherwise shows in its prompts, and ``supported`` leaves it out.
        """
        number, high = _number(version), _number(self.until)
        return not any(number) or not self.until or number <= high


REGISTRY: tuple[Deviation, ...] = (
    Deviation(
        ("llama.cpp", "vLLM"), "null-as-empty", "b10775; 0.32.0", "",
        "common/chat.cpp, common_chat_msgs_to_json_oaicompat; vllm/renderers/chat_utils.py, content of an assistant",
        "messages without content get an empty one, so that templates that add strings do not fail",
    ),
    Deviation(
        ("llama.cpp", "vLLM"), "parts-joined-by-newline", "b10775; 0.32.0", "",
        "common/chat.cpp, common_chat_msgs_to_json_oaicompat; vllm/renderers/chat_utils.py, content as text",
        "text parts become one text with line breaks between them",
    ),
    Deviation(
        ("llama.cpp", "vLLM"), "developer-as-system", "b10775; 0.32.0", "",
        "common/chat.cpp, workaround map_developer_role_to_system; vllm/renderers/hf.py, _convert_developer_to_system",
        "the developer role is mapped to system for templates that do not know it",
    ),
    Deviation(
        ("llama.cpp",), "thinking-default-on", "b10775", "", "common/chat.cpp, common_chat_templates_inputs.enable_thinking",
        "enable_thinking is defined as true where the request does not say",
    ),
    Deviation(
        ("llama.cpp",), "floats-as-integers", "b10775", "", "common/jinja, the values of the template engine",
        "numbers that are whole are written without a point",
    ),
    Deviation(
        ("llama.cpp",), "call-arguments-parsed", "b10775", "", "common/chat.cpp, workaround func_args_not_string",
        "arguments given as JSON text are parsed for templates that expect an object",
    ),
    Deviation(
        ("llama.cpp",), "date-string-set", "b10775", "", "common/chat.cpp, common_chat_extra_context",
        "date_string and datetime are always given to the template",
    ),
    Deviation(
        ("llama.cpp",), "prefill-appended", "b10775", "", "tools/server/server-common.cpp, prefill_assistant_message",
        "a reply to be continued is put behind the rendered header instead of being rendered",
        always=True,
    ),
    Deviation(
        ("llama.cpp",), "tools-rebuilt", "b10775", "", "common/chat.cpp, common_chat_tools_to_json_oaicompat",
        "each tool is written again as name, description and parameters, empty ones where the request has none",
    ),
    Deviation(
        ("llama.cpp",), "reasoning-name-lost", "b10775", "", "common/chat.cpp, common_chat_msgs_parse_oaicompat",
        "earlier reasoning is read under the name reasoning_content alone",
    ),
    Deviation(
        ("llama.cpp",), "normalizer-lost", "b10775", "", "src/llama-vocab.cpp, which has no Unicode forms for BPE",
        "letters are tokenised as they were sent, although the model's tokenizer composes them",
    ),
    Deviation(
        ("vLLM", "SGLang"), "call-arguments-parsed", "", "",
        "vllm/entrypoints/chat_utils.py; srt/entrypoints/openai, normalize_assistant_tool_call_arguments",
        "arguments given as JSON text are parsed before rendering",
    ),
)  # fmt: skip


#: Engines whose rules were measured on the running engine; of others no more is known than their sources say.
MEASURED = frozenset({"llama.cpp"})


def profiles(engine: str, version: str) -> dict[str, tuple[Deviation, ...]]:
    """Deviations by engine: of the one that is known, or of all where none is."""
    found: dict[str, tuple[Deviation, ...]] = {}
    for entry in REGISTRY:
        for name in entry.engines:
            if engine in {name, ""} and entry.covers(version if engine else ""):
                found[name] = (*found.get(name, ()), entry)
    return found


def supported(
    bench: Bench,
    conversations: Sequence[Conversation],
    observed: Sequence[object],
    reading: Reading,
    profile: Sequence[Deviation],
) -> tuple[Deviation, ...]:
    """The deviations of a profile that the observation shows, or at least does not contradict.

    Each is judged where it changes the prompt on top of all others: seen there as with it counts for it, seen as
    without it against it. Without a vote either way (another fault covers every such place) it is kept. Once the
    contradicted ones are gone, the others are judged again.
    """

    def read(entries: Sequence[Deviation]) -> list[object]:
        return [reading(prompt) for prompt in bench.prompts(conversations, [entry.fault for entry in entries])]

    kept = tuple(profile)
    for _ in profile:
        whole, fitting = read(kept), []
        for entry in kept:
            without = read([other for other in kept if other is not entry])
            votes = list(zip(observed, whole, without, strict=True))
            acts = any(a != b for _, a, b in votes)
            for_it = sum(seen == a != b for seen, a, b in votes if seen is not None)
            against = sum(seen == b != a for seen, a, b in votes if seen is not None)
            if entry.always or (acts and for_it >= against):
                fitting.append(entry)
        if len(fitting) == len(kept):
            break
        kept = tuple(fitting)
    return kept


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])

"""The chat templates of a checkpoint folder: one reading for every verb, and which program reads which file.

transformers (5.24; AutoTokenizer and AutoProcessor), and so vLLM and SGLang, take ``chat_template.jinja`` before anything else,
then the ``chat_template`` of ``tokenizer_config.json``; ``chat_template.json`` is read by AutoProcessor alone. llama.cpp's
converter (gguf-py 0.19) takes ``tokenizer_config.json`` first, then the jinja file, then the JSON file. Older libraries know
``tokenizer_config.json`` only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import BrokenCheckpoint

_MAX_TEMPLATE = 4 << 20
JINJA, SETTINGS, LEGACY = "chat_template.jinja", "tokenizer_config.json", "chat_template.json"
FOLDER = "additional_chat_templates"
#: Who reads the file that is not the first one.
READERS = {
    SETTINGS: "llama.cpp's converter, TGI and older versions of transformers read it",
    LEGACY: "transformers' AutoProcessor reads it where there is no chat_template.jinja",
    JINJA: "transformers, vLLM and SGLang read it",
}


@dataclass(frozen=True, slots=True)
class TemplateFiles:
    """The templates of a folder: the one that is judged, those with other names, and every file that holds a default.

    ``sources`` are pairs of file and text; the first is the one that is judged.
    """

    default: str = ""
    named: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[tuple[str, str], ...] = ()

    @property
    def tools(self) -> str:
        """What takes the template's place for requests with tools; empty without one."""
        return self.named.get("tool_use", "")

    @property
    def chosen(self) -> str | dict[str, str] | None:
        """The templates as a tokenizer of transformers holds them."""
        if not self.default:
            return None
        return {"default": self.default, **self.named} if self.named else self.default


def read_template_files(folder: Path, settings: Mapping[str, Any], legacy: Mapping[str, Any]) -> TemplateFiles:
    """The templates of a folder whose ``tokenizer_config.json`` and ``chat_template.json`` were read already."""
    sources: list[tuple[str, str]] = []
    named: dict[str, str] = {}
    if (folder / JINJA).is_file():
        sources.append((JINJA, template_text(folder / JINJA)))
        extra = folder / FOLDER
        files = sorted(extra.glob("*.jinja")) if extra.is_dir() else []
        named = {file.stem: template_text(file) for file in files}
    inside, also = _held(settings)
    if inside:
        sources.append((SETTINGS, inside))
    older, further = _held(legacy)
    if older:
        sources.append((LEGACY, older))
    kept = [(file, text) for file, text in sources if text.strip()]
    first = kept[0][0] if kept else ""
    named = named if first == JINJA else also if first == SETTINGS else further
    return TemplateFiles(kept[0][1] if kept else "", named, tuple(kept))


def named_templates(settings: Mapping[str, Any]) -> dict[str, str]:
    """The templates of a settings file by name; one without a name is the default."""
    value = settings.get("chat_template")
    if isinstance(value, str):
        return {"default": value}
    if isinstance(value, dict):
        return {str(name): text for name, text in value.items() if isinstance(text, str)}
    entries = [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
    return {str(e.get("name")): e["template"] for e in entries if isinstance(e.get("template"), str)}


def _held(settings: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    found = named_templates(settings)
    if not found:
        return "", {}
    default = found.get("default") or next(iter(found.values()))
    return default, {name: text for name, text in found.items() if name != "default" and text != default}


def template_text(path: Path) -> str:
    """The text of a template's file; raises BrokenCheckpoint for one of more than 4 MiB."""
    if path.stat().st_size > _MAX_TEMPLATE:
        raise BrokenCheckpoint(
            "a template of more than 4 MiB is not read",
            where=str(path),
            fix="take the template from the vendor's release",
        )
    return path.read_text(encoding="utf-8", errors="replace")

"""Where prompts come from: the template, the tokenizer and the stop ids of a checkpoint, a GGUF file or a bare file."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from pydantic import JsonValue

from harness.config import writable
from harness.errors import BrokenCheckpoint, MissingExtra, TargetNotFound
from harness.identity import digest_bytes, digest_file, digest_json, short
from harness.prompts.encoders import encoder_version
from harness.redact import safe_line
from harness.targets.checkpoint.files import stop_ids
from harness.targets.checkpoint.json_files import read_json
from harness.targets.checkpoint.target import Workers
from harness.targets.tekken import is_tekken, tokenizer_from_tekken
from harness.targets.template_files import (
    LEGACY,
    SETTINGS,
    TemplateFiles,
    named_templates,
    read_template_files,
    template_text,
)

_WEIGHTS = {".safetensors", ".bin", ".pt", ".pth", ".gguf", ".msgpack", ".h5", ".onnx"}
_SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


@dataclass(frozen=True, slots=True)
class PromptSource:
    """One side of a prompt comparison; what it lacks is empty or None.

    ``variables`` are the special tokens that templates name, ``stop_ids`` the ids that end a reply according to the
    files, ``adds_bos`` whether the tokenizer puts a begin-of-text token in front by itself. ``unread`` says why a
    tokenizer that is there is left aside. ``encoder`` is the installed program that makes prompts from ``encoder_file``
    where there is no template, ``runtime`` the engine that its template runs on,
    ``tool_template`` what takes the template's place for requests with tools.
    """

    name: str
    kind: Literal["checkpoint", "gguf", "template", "tokenizer", "encoder"]
    template: str = ""
    variables: dict[str, JsonValue] = field(default_factory=dict)
    tokenizer: Path | None = None
    stop_ids: tuple[int, ...] = ()
    adds_bos: bool = False
    unread: str = ""
    encoder: str = ""
    encoder_file: Path | None = None
    runtime: Literal["jinja2", "minijinja", "llamacpp"] = "jinja2"
    build: str = ""  # of the runtime, where it is an engine's own
    tool_template: str = ""
    bare: bool = False  # no configuration lies beside the tokenizer, so nothing is known of stops
    files: TemplateFiles = field(default_factory=TemplateFiles)  # every template of the folder, and where it lies

    @property
    def renders(self) -> bool:
        """Whether prompts can be made: by a template or by an encoder."""
        return bool(self.template or self.encoder)

    @property
    def template_digest(self) -> str:
        """SHA-256 of the template's text, or of the encoder's name, version and file; empty without either."""
        if self.encoder and self.encoder_file and not self.template:
            return digest_json([self.encoder, encoder_version(self.encoder), digest_file(self.encoder_file)])
        return digest_bytes((self.template + self.tool_template).encode()) if self.template else ""

    @property
    def tokenizer_digest(self) -> str:
        """SHA-256 of the tokenizer file, empty without one."""
        return digest_file(self.tokenizer) if self.tokenizer else ""


def open_prompt_source(path: str, cache: Path, workers: Workers | None = None) -> PromptSource:
    """Read a checkpoint folder, a GGUF file, a bare template, a bare ``tokenizer.json`` or a ``tekken.json``.

    ``minijinja:PATH`` is any of these as a gateway on minijinja renders it, ``llamacpp:PATH`` as llama.cpp's own engine
    does: second opinions on the template.
    ``encoder:NAME:FILE`` is a file with the installed encoder that makes prompts of it (``harness/prompts/encoders.py``).
    Raises TargetNotFound or BrokenCheckpoint. A GGUF file is converted in an isolated process, once: in one of ``workers``
    where these are given.
    """
    if path.startswith("encoder:"):
        return _by_encoder(path)
    if path.startswith("minijinja:"):
        source = open_prompt_source(path.removeprefix("minijinja:"), cache)
        return replace(source, runtime="minijinja", name=f"{source.name} by {_minijinja()}")
    if path.startswith("llamacpp:"):
        source, build = open_prompt_source(path.removeprefix("llamacpp:"), cache), _llamacpp()
        return replace(source, runtime="llamacpp", build=build, name=f"{source.name} by llama.cpp {build}")
    found = Path(path)
    if found.is_dir():
        return _from_folder(found, cache, workers)
    if not found.is_file():
        raise TargetNotFound(
            "there is nothing at this path",
            where=path,
            fix="give a checkpoint folder, a .gguf file, a template (.jinja) or a tokenizer.json",
        )
    if found.suffix == ".gguf":
        return _converted(found, "gguf", cache, workers)
    if found.suffix == ".json":
        return _from_json(found, cache)
    return PromptSource(found.name, "template", template=template_text(found))


def _from_json(path: Path, cache: Path) -> PromptSource:
    """A bare tokenizer, a ``tekken.json``, or a ``tokenizer_config.json`` that holds a template."""
    value = read_json(path)
    if is_tekken(value):
        return _from_tekken(path, value, cache)
    if isinstance(value.get("model"), dict):
        return PromptSource(path.name, "tokenizer", tokenizer=path)
    template = _template_of(value)
    if not template:
        raise BrokenCheckpoint(
            "this JSON file is neither a tokenizer nor does it hold a chat template",
            where=str(path),
            fix="give tokenizer.json, or a tokenizer_config.json with a chat_template",
        )
    return PromptSource(path.name, "template", template=template, variables=_special(value))


def _minijinja() -> str:
    try:
        return f"minijinja {metadata.version('minijinja')}"
    except metadata.PackageNotFoundError as error:
        raise MissingExtra(
            "minijinja is not installed", where="minijinja:", fix="pip install 'fidelity-harness[minijinja]'"
        ) from error


def _llamacpp() -> str:
    """The build of llama.cpp whose engine the installed package brings."""
    try:
        installed = metadata.distribution("ggufdoctor")
    except metadata.PackageNotFoundError as error:
        raise MissingExtra(
            "llama.cpp's engine is not installed", where="llamacpp:", fix="pip install 'fidelity-harness[llamacpp]'"
        ) from error
    manifest = read_json(Path(str(installed.locate_file("ggufdoctor/engine_data/llamacpp-jinja.json"))))
    return str(manifest.get("build_tag", ""))


def _by_encoder(text: str) -> PromptSource:
    """A file with an encoder that the user names; texts are tokenised by the ``tokenizer.json`` beside it, if there."""
    _, name, path = [*text.split(":", 2), "", ""][:3]
    file = Path(path)
    if not name or not file.is_file():
        raise TargetNotFound("there is no such encoder's file", where=text, fix="write encoder:NAME:FILE")
    encoder_version(name)
    beside = file.parent / "tokenizer.json"
    tokenizer = beside if beside.is_file() else None
    return PromptSource(file.name, "encoder", tokenizer=tokenizer, encoder=name, encoder_file=file)


def _from_tekken(path: Path, value: dict[str, Any], cache: Path) -> PromptSource:
    """A vocabulary of Mistral models: its prompts are made by mistral-common, its texts by the same ids as BPE."""
    encoder_version("mistral")
    folder = writable(cache / "tokenizers" / short(digest_file(path)), "cache")
    converted = folder / "tokenizer.json"
    if not converted.is_file():
        try:
            text = json.dumps(tokenizer_from_tekken(value))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BrokenCheckpoint(
                f"this tekken vocabulary cannot be read: {safe_line(str(error))}",
                where=str(path),
                fix="take tekken.json from the vendor's release",
            ) from error
        partial = folder / ".tokenizer.json"
        partial.write_text(text, encoding="utf-8")
        partial.replace(converted)
    special: dict[str, JsonValue] = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
    }
    return PromptSource(path.name, "encoder", "", special, converted, (2,), encoder="mistral", encoder_file=path)


def _from_folder(folder: Path, cache: Path, workers: Workers | None) -> PromptSource:
    settings = read_json(folder / "tokenizer_config.json")
    special = _special(read_json(folder / "special_tokens_map.json")) | _special(settings)
    files = read_template_files(folder, settings, read_json(folder / LEGACY))
    template = files.default
    stops = stop_ids(read_json(folder / "config.json"), read_json(folder / "generation_config.json"))
    tokenizer, tekken = folder / "tokenizer.json", folder / "tekken.json"
    if not template and tekken.is_file() and is_tekken(value := read_json(tekken)):
        return replace(_from_tekken(tekken, value, cache), name=folder.name, stop_ids=stops or (2,))
    if not tokenizer.is_file():
        converted = _converted(folder, "plain", cache, workers)
        return PromptSource(
            folder.name, "checkpoint", template or converted.template, converted.variables | special,
            converted.tokenizer, stops or converted.stop_ids, converted.adds_bos, converted.unread, files=files,
            tool_template=files.tools,
        )  # fmt: skip
    return PromptSource(
        folder.name,
        "checkpoint",
        template,
        special,
        tokenizer,
        stops,
        _adds_bos(settings, tokenizer),
        tool_template=files.tools,
        bare=not any((folder / name).is_file() for name in ("config.json", "generation_config.json")),
        files=files,
    )


def as_transformers_reads(source: PromptSource, cache: Path, workers: Workers | None = None) -> PromptSource:
    """A checkpoint with the tokenizer that transformers makes of its folder, kept in the cache.

    For some classes (Llama's among them) the library builds its own rules and takes only words and merges from tokenizer.json.
    """
    if source.kind != "checkpoint" or source.tokenizer is None or not (source.tokenizer.parent / SETTINGS).is_file():
        return source
    return replace(source, tokenizer=_converted(source.tokenizer.parent, "plain", cache, workers).tokenizer)


#: Raised when the conversion changes: 2 leaves out words that the library adds.
_MAKER = 2


def _converted(path: Path, kind: Literal["gguf", "plain"], cache: Path, workers: Workers | None) -> PromptSource:
    """What transformers makes of a tokenizer in another form, kept by the file's digest."""
    # every file that is not weights may take part in a tokenizer: vocabularies, merges, models, settings
    files = [path] if path.is_file() else sorted(f for f in path.iterdir() if f.is_file() and f.suffix not in _WEIGHTS)
    digest = digest_json([_MAKER, [[file.name, digest_file(file)] for file in files]])
    folder = writable(cache / "tokenizers" / short(digest), "cache")
    facts = folder / "facts.json"
    if "faithful" not in (read_json(facts) if facts.is_file() else {}):
        with contextlib.nullcontext(workers) if workers else Workers() as found:
            found.for_base(str(path)).ask("convert_tokenizer", {"kind": kind, "base": str(path), "folder": str(folder)})
    stored = read_json(facts)
    variables, stops = stored.get("variables"), stored.get("stop_ids")
    assert isinstance(variables, dict)
    assert isinstance(stops, list)
    return PromptSource(
        path.name,
        "gguf" if kind == "gguf" else "checkpoint",
        str(stored.get("template") or ""),
        dict(variables),
        folder / "tokenizer.json" if stored["faithful"] else None,
        tuple(int(str(i)) for i in stops) + (_ends_of_generation(folder) if kind == "gguf" else ()),
        bool(stored.get("adds_bos")),
        "" if stored["faithful"] else "the file names a way of cutting texts that is not known here",
    )


#: Words that llama.cpp takes for ends of generation wherever a vocabulary holds them (``llama-vocab.cpp``).
_ENDS = {
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>",
    "<|endoftext|>", "<|end_of_text|>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_sentence|>",
    "<end_of_utterance>", "<turn|>",
}  # fmt: skip


def _ends_of_generation(folder: Path) -> tuple[int, ...]:
    """The ids at which llama.cpp stops whatever the file declares."""
    added = read_json(folder / "tokenizer.json").get("added_tokens")
    entries = [entry for entry in added if isinstance(entry, dict)] if isinstance(added, list) else []
    ends = [entry.get("id") for entry in entries if str(entry.get("content")) in _ENDS]
    return tuple(one for one in ends if type(one) is int)


def _template_of(settings: dict[str, Any]) -> str:
    """The template of a settings file; of several named ones the default."""
    named = named_templates(settings)
    return named.get("default") or next(iter(named.values()), "")


def _special(settings: dict[str, Any]) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {}
    for name in _SPECIAL:
        value = settings.get(name)
        value = value.get("content") if isinstance(value, dict) else value
        if isinstance(value, str):
            found[name] = value
    return found


def _adds_bos(settings: dict[str, Any], tokenizer: Path) -> bool:
    """Whether the tokenizer's own post-processor puts something in front of a text."""
    if settings.get("add_bos_token") is True:
        return True
    post = read_json(tokenizer).get("post_processor")
    steps = post.get("processors", [post]) if isinstance(post, dict) else []
    singles = [step.get("single") for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []
    return any(isinstance(s, list) and s and isinstance(s[0], dict) and "SpecialToken" in s[0] for s in singles)

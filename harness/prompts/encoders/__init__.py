"""Prompts of models that ship no template but a program: adapters, and a hook for programs that are installed.

An encoder is a function from a file to a function from a conversation to text and ids. ``mistral`` is mistral-common's
own, ``harmony`` openai-harmony's; others are found under the entry point group ``fidelity.encoders``: a package declares
``name = "module:load"``, and ``load(path)`` returns a function that takes a ``Conversation`` and returns ``(text, ids)``,
or raises ValueError for a conversation that the format has no place for; ``options["clock"]`` is the time by which dates
are written. Encoders run in the bounded process only; they
are programs that the user has installed, never code out of a checkpoint.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib import metadata

from harness.errors import MissingExtra, UnknownName
from harness.prompts.conversation import Conversation

Encoder = Callable[[Conversation], tuple[str, list[int]]]

GROUP = "fidelity.encoders"
_PACKAGES = {"mistral": "mistral-common", "harmony": "openai-harmony"}


def encoder_version(name: str) -> str:
    """The package behind an encoder and its version; raises MissingExtra where it is not installed."""
    package = _PACKAGES.get(name)
    if package is None:
        package = _declared(name).dist.name if _declared(name).dist else name  # type: ignore[union-attr]
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError as error:
        raise MissingExtra(
            f"prompts of this file are made by {package}, which is not installed",
            where=name,
            fix=f"pip install 'fidelity-harness[{name}]'",
        ) from error


def load_encoder(name: str, path: str) -> Encoder:
    """An encoder on its file; runs in the bounded process."""
    own = name in _PACKAGES
    load = importlib.import_module(f"harness.prompts.encoders.{name}").load if own else _declared(name).load()
    found: Encoder = load(path)
    return found


def _declared(name: str) -> metadata.EntryPoint:
    """The entry point of an installed package; raises UnknownName."""
    for entry in metadata.entry_points(group=GROUP, name=name):
        return entry
    known = sorted({*_PACKAGES, *(entry.name for entry in metadata.entry_points(group=GROUP))})
    raise UnknownName(f"no encoder of this name is installed: {name!r}", fix=f"use one of {', '.join(known)}")

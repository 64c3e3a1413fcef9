"""Suites and items as they stand on disk."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from harness.errors import UnknownName
from harness.identity import digest_json


class Frozen(BaseModel):
    """Base of every value that touches disk: immutable, and unknown keys are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Message(Frozen):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str


class Item(Frozen):
    """One question of a suite; exactly one of ``text`` and ``messages`` is given.

    ``sample`` asks the reference for its own continuation of that many tokens, which every candidate is then scored
    on. ``cluster`` names the document or conversation that several items share; it is the unit of independence.
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    domain: str
    text: str | None = None
    messages: tuple[Message, ...] = ()
    sample: int = Field(default=0, ge=0, le=4096)
    cluster: str = ""

    @model_validator(mode="after")
    def _one_kind(self) -> Item:
        if (self.text is None) == (not self.messages):
            raise ValueError("give either 'text' or 'messages'")
        if self.sample and not self.messages:
            raise ValueError("'sample' needs 'messages'")
        return self

    @property
    def unit(self) -> str:
        """The cluster that this item counts towards."""
        return self.cluster or self.id


class Profile(Frozen):
    """A declared part of a suite: how many documents and sampled prompts, spread evenly over the domains.

    ``None`` takes all. ``band_documents`` is the part on which the honest band and the ladder are measured.
    """

    documents: int | None = None
    prompts: int | None = None
    band_documents: int = Field(default=24, ge=3)


class SuiteHead(Frozen):
    """The contents of ``suite.yaml``."""

    name: str
    version: int
    title: str
    licence: str
    purpose: str
    shows: tuple[str, ...]
    cannot_show: tuple[str, ...]
    skip_tokens: int = Field(default=32, ge=0)
    window: int = Field(default=0, ge=0)  # tokens; cut texts into windows by llama.cpp's convention
    sampling_seed: int = 20261101
    profiles: dict[str, Profile]


class Suite(Frozen):
    """A loaded suite; its digest covers every item and every setting."""

    head: SuiteHead
    items: tuple[Item, ...]

    @property
    def digest(self) -> str:
        """SHA-256 over head and items."""
        return digest_json(self.model_dump(mode="json"))

    def profile(self, name: str) -> Profile:
        """A declared profile; raises UnknownName with those that exist."""
        if name not in self.head.profiles:
            known = ", ".join(sorted(self.head.profiles))
            raise UnknownName(f"the suite {self.head.name} has no profile {name!r}", fix=f"profiles: {known}")
        return self.head.profiles[name]

    def select(self, profile: Profile) -> tuple[Item, ...]:
        """The items of a profile: a fixed share of each domain, always the same ones, in suite order."""
        documents = [item for item in self.items if not item.sample]
        prompts = [item for item in self.items if item.sample]
        chosen = spread(documents, profile.documents) + spread(prompts, profile.prompts)
        keep = {item.id for item in chosen}
        return tuple(item for item in self.items if item.id in keep)


def spread(items: list[Item], count: int | None) -> list[Item]:
    """Take ``count`` items round-robin over the domains, so that a small profile still covers every domain."""
    if count is None or count >= len(items):
        return list(items)
    shelves: dict[str, list[Item]] = {}
    for item in items:
        shelves.setdefault(item.domain, []).append(item)
    chosen: list[Item] = []
    depth = 0
    while len(chosen) < count:
        layer = [shelf[depth] for shelf in shelves.values() if depth < len(shelf)]
        chosen.extend(layer[: count - len(chosen)])
        depth += 1
    return chosen

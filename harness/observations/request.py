"""What a user can ask of a comparison."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from harness.observations.reference_cache import CacheChoice
from harness.suites.model import Profile
from harness.targets.spec import Runtime

DEFAULT_LADDER = (8, 6, 5, 4, 3)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A candidate as the user names it; an empty claim asks the candidate itself."""

    spec: str
    claim: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """Everything that a user can ask of a comparison."""

    reference: str
    candidates: tuple[Candidate, ...]
    suite: str = "core"
    profile: str = "full"
    part: Profile | None = None  # of the suite, where none of its own profiles is meant; ``profile`` is then its name
    window: int = 0  # tokens; then ``suite`` is a text file, cut as llama.cpp's perplexity tool does
    runtime: Runtime = field(default_factory=Runtime)
    band: bool = True
    ladder: tuple[int, ...] = DEFAULT_LADDER
    rebuild: bool = True  # claimed precisions, from the reference
    importance: str = ""  # the importance matrix with which GGUF candidates were quantized
    gates: tuple[str, ...] = ()  # expressions, presets or a policy file
    baseline: Path | None = None
    reference_cache: CacheChoice = "auto"
    fresh: bool = False
    command: str = ""

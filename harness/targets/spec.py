"""Target specifications: the short strings by which users name what is compared.

``PATH`` or ``org/name[@revision]``  a checkpoint folder, or one on the Hub
``dtype:bf16:REF``                   the same weights in another number format
``bnb:int8|nf4|fp4:REF``             quantized on loading by bitsandbytes
``rtn:BITS[gGROUP]:REF``             round to nearest, asymmetric, per group of GROUP inputs (default 64)
``fp8:REF``                          weights rounded to e4m3, one scale per output row
``mx:nvfp4|mxfp4|mxfp8:REF``         weights rounded to block-scaled narrow floats
``ggufq:Q8_0|Q5_0|Q4_0:REF``         weights sent through llama.cpp's quantizer and back, every matrix alike
``ggufq:Q4_K_M:REF``                 the same by a recipe of llama.cpp's: which tensors get which type
``ggufq:like=FILE:REF``              the same by the types of a GGUF file's tensors
``kv:e4m3|q8_0|q4_0:REF``            keys and values rounded as a quantized KV cache stores them; ``-unrotated``: as before 2026
``gguf:FILE``                        a GGUF file, dequantised
``gptq:PATH``                        a GPTQ checkpoint, unpacked to dense weights
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from harness.errors import BadSpec
from harness.targets.gguf_file import TYPES
from harness.targets.gguf_recipe import RECIPES

DTYPES = ("fp32", "bf16", "fp16")
BNB_MODES = ("int8", "nf4", "fp4")
GGUF_TYPES = ("Q8_0", "Q5_0", "Q5_1", "Q4_0", "Q4_1")
#: Recipes and single types that llama.cpp's own quantizer makes.
GGUF_RECIPES = tuple(dict.fromkeys([*RECIPES, *(k for k in TYPES if k[0] in "QTMN" or k.startswith("IQ"))]))
MX_TYPES = ("nvfp4", "mxfp4", "mxfp8")
KV_TYPES = ("e4m3", "q8_0", "q4_0", "q8_0-unrotated", "q4_0-unrotated")
DEFAULT_GROUP = 64
_RTN = re.compile(r"^([2-8])(?:g(\d+))?$")


@dataclass(frozen=True, slots=True)
class Runtime:
    """How a checkpoint is run; part of its identity, because each of these moves logits."""

    device: str = "cpu"
    dtype: str = "auto"
    attention: str = "auto"  # auto: what the model prefers; sdpa or eager
    batch: int = 1
    threads: int = 0  # 0: ``OMP_NUM_THREADS``, or as many as this process may use


@dataclass(frozen=True, slots=True)
class GgufDetail:
    """What ``ggufq`` does: by a name or like a file, and with which importance matrix."""

    name: str = ""
    file: str = ""
    importance: str = ""

    @property
    def text(self) -> str:
        """As it is written in a specification."""
        head = f"like={self.file}" if self.file else self.name
        return f"{head},imatrix={self.importance}" if self.importance else head


def gguf_detail(text: str) -> GgufDetail:
    """Read the middle of a ``ggufq`` specification."""
    head, _, importance = text.partition(",imatrix=")
    return GgufDetail("", head[5:], importance) if head.startswith("like=") else GgufDetail(head, "", importance)


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """A parsed specification: ``kind`` is how the weights at ``base`` are changed, ``detail`` by how much.

    ``alias`` is the Hub name of a downloaded checkpoint, whose folder is called by a revision that says nothing.
    """

    kind: str
    detail: str
    base: str
    runtime: Runtime = Runtime()
    alias: str = ""

    @property
    def text(self) -> str:
        """The specification as the user would write it."""
        if self.kind == "plain":
            return self.base
        middle = f":{self.detail}" if self.detail else ""
        return f"{self.kind}{middle}:{self.base}"

    @property
    def shown(self) -> str:
        """The specification without the folders above the checkpoint: reports are passed on, home folders are not."""
        return replace(self, base=self.name, detail=self._shown_detail).text

    @property
    def _shown_detail(self) -> str:
        if self.kind != "ggufq" or "=" not in self.detail:
            return self.detail
        asked = gguf_detail(self.detail)
        head = f"like={asked.file.rpartition('/')[2]}" if asked.file else asked.name
        return head + (",imatrix" if asked.importance else "")

    @property
    def name(self) -> str:
        """What the checkpoint is called: its Hub name or the last part of its path."""
        return self.alias or self.base.rstrip("/").rsplit("/", 1)[-1]

    @property
    def label(self) -> str:
        """A short name for tables: the change for derived targets, the last part of the path for others."""
        if self.kind in {"plain", "gguf", "gptq"}:
            return self.name
        return f"{self.kind}:{self._shown_detail}" if self.detail else self.kind

    @property
    def in_gguf(self) -> bool:
        """Whether the weights lie in a GGUF file, changed by us or not."""
        return self.kind == "gguf" or (self.derived and self.base.endswith(".gguf"))

    @property
    def derived(self) -> bool:
        """Whether this target is built from another checkpoint by us."""
        return self.kind in {"dtype", "bnb", "rtn", "fp8", "mx", "ggufq", "kv"}

    def with_runtime(self, **changes: str | int) -> TargetSpec:
        """The same weights, run differently."""
        return replace(self, runtime=replace(self.runtime, **changes))  # type: ignore[arg-type]


def parse_spec(text: str, runtime: Runtime | None = None) -> TargetSpec:
    """Read a specification; raises BadSpec with the accepted values."""
    runtime = runtime or Runtime()
    kind, colon, rest = text.partition(":")
    if not colon:  # a folder may be called like a kind
        kind = ""
    if kind in {"fp8", "gguf", "gptq"} and rest:
        return TargetSpec(kind, "", rest, runtime)
    choices: dict[str, tuple[str, ...]] = {
        "dtype": DTYPES, "bnb": BNB_MODES, "mx": MX_TYPES, "ggufq": GGUF_TYPES, "kv": KV_TYPES,
    }  # fmt: skip
    if kind in choices or kind == "rtn":
        detail, _, base = rest.partition(":")
        if not base:
            raise BadSpec(f"{text!r} lacks a checkpoint", fix=f"write {kind}:{detail or 'KIND'}:PATH")
        if kind == "rtn":
            found = _RTN.match(detail)
            if not found:
                raise BadSpec(f"{detail!r} is no bit width", where=text, fix="write rtn:4:PATH or rtn:4g64:PATH")
            group = int(found.group(2) or DEFAULT_GROUP)
            if group < 2:
                raise BadSpec(f"a group of {group} weights cannot be rounded", where=text, fix="use g32, g64 or g128")
            return TargetSpec(kind, f"{found.group(1)}g{group}", base, runtime)
        if kind == "ggufq" and (detail.startswith("like=") or gguf_detail(detail).name in GGUF_RECIPES):
            return TargetSpec(kind, detail, base, runtime)
        if detail not in choices[kind]:
            raise BadSpec(f"{kind} has no {detail!r}", where=text, fix=f"use one of {', '.join(choices[kind])}")
        return TargetSpec(kind, detail, base, runtime)
    if re.match(r"^https?://", text):
        raise BadSpec("hosted endpoints are not supported by this version", where=text, fix="give a checkpoint")
    if not text.strip():
        raise BadSpec("a target specification is empty", fix="give the path of a checkpoint folder")
    return TargetSpec("plain", "", text, runtime)

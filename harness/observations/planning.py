"""From specifications and a suite to a frozen plan: encode items once, choose the band, list who is scored on what."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass

from pydantic import JsonValue

from harness.errors import UsageError
from harness.observations.events import Event, Noticed, StageStarted
from harness.observations.plan import Claimed, Plan, PlannedTarget, Role
from harness.observations.reference_cache import ReferenceCache
from harness.prompts.sequences import Sequence, chat_sequence, document_sequence, reply_sequence
from harness.prompts.windows import perplexity_windows
from harness.suites.model import Item, Profile, Suite, spread
from harness.targets.alternatives import (
    Alternative,
    buildable,
    declared_claim,
    honest_band,
    ladder,
    native_precision,
    rebuild,
)
from harness.targets.base import ModelIdentity
from harness.targets.checkpoint.target import CheckpointTarget
from harness.targets.spec import TargetSpec


@dataclass(frozen=True, slots=True)
class Wanted:
    """A candidate as the user asked for it; ``claim`` empty means: ask the candidate."""

    target: CheckpointTarget
    claim: str


@dataclass(frozen=True, slots=True)
class Scope:
    """What is measured around the candidates."""

    band: bool
    bits: tuple[int, ...]
    policy: dict[str, JsonValue] | None = None
    baseline: str = ""
    rebuild: bool = True  # whether claimed precisions are rebuilt from the reference; gates need none of it
    estimator: str = "exact"
    part: Profile | None = None  # where none of the suite's own profiles is meant
    importance: str = ""  # a file, for claims that are rebuilt by llama.cpp's quantizer


def encode_items(
    suite: Suite, profile: Profile, target: CheckpointTarget, cache: ReferenceCache
) -> Generator[Event, None, list[Sequence]]:
    """Turn the items of a profile into sequences by the reference's tokenizer; returns them in suite order.

    A reference without a chat template, as base models are, is asked no conversations; raises UsageError if nothing is left.
    """
    items = suite.select(profile)
    yield StageStarted("prompts", f"{len(items)} items of {suite.head.name} in the reference's tokenizer")
    texts = [item for item in items if item.text is not None]
    chats = [item for item in items if item.messages and not item.sample]
    asked = [item for item in items if item.sample]
    if suite.head.window:
        return _windows(suite, target, texts)
    if (chats or asked) and not target.has_template():
        yield Noticed(f"{left_out(suite, profile)}; only its plain texts are measured")
        chats, asked = [], []
        if not texts:
            raise UsageError(
                f"the reference ships no chat template, and suite {suite.head.name!r} holds conversations only",
                fix="choose a suite with plain texts, such as --suite core",
            )
    skip = suite.head.skip_tokens
    made: dict[str, Sequence] = {}
    for item, encoded in zip(texts, target.tokenize([item.text or "" for item in texts]), strict=True):
        made[item.id] = document_sequence(item.id, item.domain, item.unit, encoded.ids, skip)
    for item, encoded in zip(chats, target.render([item.messages for item in chats], open_reply=False), strict=True):
        made[item.id] = chat_sequence(item.id, item.domain, item.unit, encoded.ids, encoded.segments, skip)
    if asked:
        yield StageStarted("replies", f"{len(asked)} replies sampled from the reference")
        prompts = target.render([item.messages for item in asked], open_reply=True)
        replies = cache.replies([p.ids for p in prompts], [item.sample for item in asked], suite.head.sampling_seed)
        for item, prompt, reply in zip(asked, prompts, replies, strict=True):
            if reply:
                made[item.id] = reply_sequence(item.id, item.domain, item.unit, prompt.ids, prompt.segments, reply)
    return [made[item.id] for item in items if item.id in made and made[item.id].scored > 0]


def left_out(suite: Suite, profile: Profile) -> str:
    """What a reference without a chat template is not asked, in words."""
    count = sum(item.messages != () for item in suite.select(profile))
    return f"the reference ships no chat template, so the suite's {count} conversations were left out"


def _windows(suite: Suite, target: CheckpointTarget, texts: list[Item]) -> list[Sequence]:
    """Texts cut by the convention of llama.cpp's perplexity tool; the tokenizer decides whether BOS is put in front."""
    encoded = target.tokenize([*(item.text or "" for item in texts), ""])
    bos = encoded[-1].ids[0] if encoded[-1].ids else None  # what an empty text becomes is what the tokenizer adds
    found = [w for text in encoded[:-1] for w in perplexity_windows(list(text.ids), suite.head.window, None, bos)]
    if not found:
        raise UsageError(
            f"the text has fewer than {suite.head.window} tokens", fix="give a longer text or a smaller --window"
        )
    return found


def band_keys(sequences: list[Sequence], count: int) -> tuple[str, ...]:
    """The declared part on which band and ladder are measured: spread over the domains, in suite order."""
    stand_ins = [Item(id=s.key, domain=s.domain, text="") for s in sequences]
    chosen = {item.id for item in spread(stand_ins, count)}
    return tuple(s.key for s in sequences if s.key in chosen)


def make_plan(
    reference: CheckpointTarget,
    wanted: list[Wanted],
    suite: Suite,
    profile_name: str,
    sequences: list[Sequence],
    vocabulary: int,
    software: dict[str, str],
    scope: Scope,
) -> Plan:
    """List every target, once each, with the part of the sequences that it is scored on."""
    profile = scope.part or suite.head.profiles[profile_name]
    identity = reference.identity()
    native = native_precision(identity)
    targets: dict[str, PlannedTarget] = {}

    def add(name: str, spec: TargetSpec, role: Role, digest: str) -> str:
        wide = role in {"candidate", "claim"}
        runtime = spec.runtime
        where = f"{spec.text}|{runtime.dtype}|{runtime.attention}|{runtime.batch}"
        known = targets.get(where)
        if known is None:
            same = sum(1 for target in targets.values() if target.role == role and target.label == name)
            unique = f"{role}:{name}" + (f"#{same + 1}" if same else "")
            targets[where] = _planned(unique, name, spec, role, digest, wide=wide)
        elif wide and known.scope != "all":
            targets[where] = known.model_copy(update={"scope": "all"})
        return targets[where].key

    keys = [
        add(entry.target.spec.label, entry.target.spec, "candidate", entry.target.identity().digest) for entry in wanted
    ]
    band: list[Alternative] = honest_band(reference.spec, native) if scope.band else []
    honest = {
        alternative.name: add(alternative.name, alternative.spec, "band", identity.digest) for alternative in band
    }
    claims = [
        _claim(key, entry, reference.spec, native, identity, add if scope.rebuild else None, scope.importance)
        for key, entry in zip(keys, wanted, strict=True)
    ]
    rungs = {
        bits: add(alternative.name, alternative.spec, "ladder", identity.digest)
        for bits, alternative in zip(scope.bits, ladder(reference.spec, scope.bits), strict=False)
    }
    return Plan(
        reference=_planned("reference", reference.spec.label, reference.spec, "candidate", identity.digest, wide=True),
        targets=tuple(targets.values()),
        claims=tuple(claims),
        honest=honest,
        rungs=rungs,
        suite={
            "name": suite.head.name,
            "version": suite.head.version,
            "digest": suite.digest,
            "profile": profile_name,
            **_told(suite, profile, reference),
        },
        sequences=tuple(sequence.to_json() for sequence in sequences),  # type: ignore[misc]
        band=band_keys(sequences, profile.band_documents),
        vocabulary=vocabulary,
        policy=scope.policy,
        baseline=scope.baseline,
        estimator=scope.estimator,
        software=software,
    )


def _told(suite: Suite, profile: Profile, reference: CheckpointTarget) -> dict[str, str]:
    """What the plan leaves out of the suite, where it leaves out anything."""
    asks = any(item.messages for item in suite.select(profile)) and not suite.head.window
    return {"left_out": left_out(suite, profile)} if asks and not reference.has_template() else {}


def rebuilt_for(
    entry: Wanted, precision: str, reference: TargetSpec, native: str, importance: str
) -> TargetSpec | None:
    """What rebuilds a precision that a candidate is sold as; a GGUF file under its own claim by the types of its tensors.

    Raises UsageError for a claim that cannot be rebuilt.
    """
    candidate, identity = entry.target.spec, entry.target.identity()
    own = candidate.kind == "gguf" and precision == declared_claim(candidate, identity)[0]
    file, kinds = (candidate.base, _kinds(identity.quantization)) if own else ("", ())
    return rebuild(precision, reference, native, file, kinds, importance)


def rebuilt_specs(
    wanted: list[Wanted], reference: CheckpointTarget, importance: str
) -> dict[TargetSpec, list[TargetSpec]]:
    """What rebuilds the claims of each candidate, by its specification; claims that cannot be rebuilt are left out."""
    native = native_precision(reference.identity())
    found: dict[TargetSpec, list[TargetSpec]] = {}
    for entry in wanted:
        claim = entry.claim or declared_claim(entry.target.spec, entry.target.identity())[0]
        with contextlib.suppress(UsageError):  # told where the plan is made
            rebuilt = rebuilt_for(entry, claim, reference.spec, native, importance) if claim else None
            found.setdefault(entry.target.spec, []).extend([rebuilt] if rebuilt else [])
    return found


def _claim(
    key: str,
    entry: Wanted,
    reference: TargetSpec,
    native: str,
    identity: ModelIdentity,
    add: Callable[[str, TargetSpec, Role, str], str] | None,
    importance: str,
) -> Claimed:
    precision, source = (entry.claim, "the command line") if entry.claim else ("", "")
    if not precision:
        precision, source = declared_claim(entry.target.spec, entry.target.identity())
    declared = entry.target.identity().quantization
    if not precision and declared:
        method = str(declared.get("quant_method", "a quantization"))
        problem = f"It declares {method}, which cannot be rebuilt from the reference here; give --claim or --gate."
        return Claimed(candidate=key, precision=method, source="its quantization config", problem=problem)
    if not precision:
        precision, source = native, "the reference's number format"
    try:
        spec = rebuilt_for(entry, precision, reference, native, importance)
    except UsageError as error:
        if entry.claim:
            raise
        return Claimed(candidate=key, precision=precision, source=source, problem=error.problem)
    if spec is None:
        return Claimed(candidate=key, precision=precision, source=source)
    if add is None:
        problem = "the claim was not rebuilt, because this run was made to be judged by gates"
        return Claimed(candidate=key, precision=precision, source=source, problem=problem)
    if not buildable(reference):
        problem = "other precisions can only be rebuilt from a plain checkpoint folder"
        return Claimed(candidate=key, precision=precision, source=source, problem=problem)
    return Claimed(
        candidate=key,
        precision=precision,
        source=source,
        rebuild=add(f"claim {precision}", spec, "claim", identity.digest),
    )


def _kinds(declared: dict[str, JsonValue]) -> tuple[str, ...]:
    """The tensor types of a GGUF file."""
    types = declared.get("types")
    return tuple(types) if isinstance(types, dict) else ()


def _planned(key: str, label: str, spec: TargetSpec, role: Role, digest: str, *, wide: bool) -> PlannedTarget:
    return PlannedTarget(
        key=key,
        label=label,
        kind=spec.kind,
        detail=spec.detail,
        base=spec.base,
        alias=spec.alias,
        runtime=asdict(spec.runtime),
        role=role,
        scope="all" if wide else "band",
        digest=digest,
    )

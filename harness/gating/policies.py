"""From what a user gives (gates, presets, a policy file, a baseline) to one policy with its baseline."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from harness.comparisons.baselines import Baseline, check_comparable, read_baseline
from harness.errors import TargetNotFound, UsageError
from harness.identity import digest_bytes
from harness.observations.plan import Plan
from harness.reports.stored import conditions, document_digests
from harness.targets.base import ModelIdentity
from harness.verdicts.gates.policy import ALPHA, NO_WORSE, PRESETS, Policy, policy_of, read_policy_file

_LARGEST_POLICY, _LARGEST_BASELINE = 64 << 10, 16 << 20


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a run is judged by; ``source`` says where the baseline was read."""

    policy: Policy
    baseline: Baseline | None = None
    source: str = ""

    def check_run(self, ladder: tuple[int, ...], *, band: bool) -> None:
        """Refuse gates that a run so scoped cannot answer; raises UsageError."""
        if self.policy.needs_band and not band:
            raise UsageError("a gate is held against the honest band, which --no-band leaves out")
        self.policy.check_ladder(ladder)

    def check_plan(self, plan: Plan, reference: ModelIdentity) -> None:
        """Refuse a baseline of another question; raises BaselineMismatch."""
        if self.baseline:
            check_comparable(self.baseline, conditions(plan, reference), document_digests(plan), self.source)


def frozen(judgement: Judgement | None) -> tuple[dict[str, JsonValue] | None, str]:
    """Policy and digest of the baseline, as a plan keeps them."""
    if judgement is None:
        return None, ""
    baseline = judgement.baseline
    return judgement.policy.model_dump(mode="json"), digest_bytes(
        baseline.model_dump_json().encode()
    ) if baseline else ""


def resolve(gates: tuple[str, ...], baseline: Path | None = None) -> Judgement | None:
    """Read gates as they are given on the command line; None where nothing was given.

    Each is an expression, the name of a preset, or a policy file. A baseline that no gate is held against means:
    no worse than it, too.
    Raises UsageError, BaselineMismatch or TargetNotFound.
    """
    texts: list[str] = []
    name, alpha, named = "", ALPHA, baseline
    for gate in gates:
        path = Path(gate)
        if gate in PRESETS or path.suffix not in {".yaml", ".yml"}:
            texts.append(gate)
            continue
        found = read_policy_file(_text(path, "policy", _LARGEST_POLICY), gate)
        if name:
            raise UsageError("one policy file at a time", where=gate, fix="put the gates of both into one file")
        name, alpha = found.name or path.stem, found.alpha
        texts += [found.preset] if found.preset else []
        texts += found.gates
        if found.baseline and baseline is None:
            named = path.parent / found.baseline
    if not texts and named is None:
        if name:
            raise UsageError(
                "the policy holds no gate", where=name, fix="give it 'gates:', a 'preset:' or a 'baseline:'"
            )
        return None
    policy = policy_of(texts or list(NO_WORSE), name, alpha)
    if named is not None and not policy.needs_baseline:  # a baseline that is named is never ignored
        policy = policy_of([*texts, *NO_WORSE], name, alpha)
    if policy.needs_baseline and named is None:
        raise UsageError("a gate is held against a baseline, and none was given",
                         fix="give --baseline FILE, or 'baseline:' in the policy")  # fmt: skip
    if named is None:
        return Judgement(policy)
    return Judgement(policy, load_baseline(named), str(named))


def load_baseline(path: Path) -> Baseline:
    """Read a baseline file."""
    return read_baseline(_text(path, "baseline", _LARGEST_BASELINE), str(path))


def _text(path: Path, what: str, most: int) -> str:
    try:
        if path.stat().st_size > most:
            raise UsageError(f"the {what} is larger than {most >> 10:,} KB", where=str(path))
        return path.read_text(encoding="utf-8")
    except ValueError as error:
        raise UsageError(f"the {what} is no UTF-8 text, or its name is none", where=repr(str(path))) from error
    except OSError as error:
        ways = {"baseline": "fidelity baseline save RUN -o FILE writes one"}
        fix = ways.get(what, f"give a policy file that is there, or a preset: {', '.join(PRESETS)}")
        raise TargetNotFound(f"the {what} cannot be read ({error.strerror})", where=str(path), fix=fix) from error

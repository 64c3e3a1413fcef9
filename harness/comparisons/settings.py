"""Other samplers and other lengths on the reference's weights: what the replies rule out, and what must be ruled out. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

from harness.comparisons.model import Result
from harness.comparisons.replies import LENGTHS, sampler_names
from harness.evidence.clustered import Floats
from harness.evidence.sequential.causes import exclusions
from harness.evidence.sequential.eprocess import EProcess
from harness.targets.sampler import Sampler
from harness.targets.token_evidence import CUTS, POWERS

#: Distance in temperature, in logs, from which on another temperature must be ruled out before a sampler is cleared.
_FAR_TEMPERATURE = math.log(1.2) - 1e-9
_CLIPPED = 10.0  # odds of ending, over the reference's, that must be ruled out
_WIDE_CUTS = (("top_p", 0.8), ("top_p", 0.9), ("top_k", 20), ("min_p", 0.05))


class SettingFacts(Result):
    """What the replies say of one other sampler, or of one other length, on the reference's weights."""

    name: str
    log_e_against: float
    excluded: bool
    required: bool  # so far from what was asked for that it must be ruled out before the host is cleared


def required_samplers(asked: Sampler) -> dict[str, bool]:
    """Other samplers, and which of them are far from the one that was asked for: a fifth in temperature, and wide cut-offs.

    Under a cut-off only its absence is far: of two cut-offs neither may be far from the other.
    """
    far = [abs(math.log(power)) >= _FAR_TEMPERATURE for power in POWERS if power != 1.0]
    wide = [(kind, value) in _WIDE_CUTS and not asked.cut for kind, value in CUTS]
    return dict(zip(sampler_names(asked), [*far, *wide, *([True] if asked.cut else [])], strict=True))


def required_lengths() -> dict[str, bool]:
    """Other odds of ending, and which of them must be ruled out."""
    return {name: odds >= _CLIPPED for name, odds in LENGTHS}


def setting_facts(
    process: EProcess, likelihoods: Floats, names: Mapping[str, bool], alpha: float, claimed: str = ""
) -> tuple[SettingFacts, ...]:
    """Which samplers or lengths are ruled out, on every honest configuration; the ``claimed`` one is no alternative."""
    return tuple(
        SettingFacts(name=one.name, log_e_against=one.log_e, excluded=one.excluded, required=names[one.name])
        for one in exclusions(process, likelihoods, list(names), alpha)
        if one.name != claimed
    )

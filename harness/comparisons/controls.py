"""Controls of an audit: hosts of known weights, weighed like the candidate. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from harness.comparisons.audit import AuditFacts, first_accusation
from harness.comparisons.model import Result
from harness.evidence.sequential.eprocess import MOST_LOST
from harness.suites.model import Frozen
from harness.targets.token_evidence import TokenEvidence

Role = Literal["honest", "listed", "unlisted"]


class Control(Frozen):
    """A host of known weights. ``listed`` ones are in the bank, ``unlisted`` ones have their whole kind taken out of it."""

    name: str
    role: Role
    member: str = ""  # the configuration that it serves, sampled here; empty for a host that the user vouches for
    hidden: tuple[str, ...] = ()  # members of the bank that are left out when it is weighed


class ControlFacts(Result):
    """What became of a control: accused or not, after how many requests, and on which axis."""

    name: str
    role: Role
    member: str
    requests: int
    tokens: int
    log_e: float  # of the weights process, nats
    found_at: int  # the request after which it was accused, 0: it was not
    axis: str
    untestable: str = ""  # why it could not be measured

    @property
    def sound(self) -> bool:
        """Whether it behaved as it must: an honest host is not accused, a bad one is; none that was not measured."""
        return not self.untestable and bool(self.found_at) != (self.role == "honest")


def control_facts(
    control: Control,
    evidence: Mapping[str, Sequence[TokenEvidence]],
    honest: Sequence[str],
    families: Mapping[str, str],
    near: Sequence[str],
    alpha: float,
) -> ControlFacts:
    """Weigh a control's replies by the same bank, less what is hidden from it.

    A bad host is found if any axis accuses it, because any axis would keep it from being cleared.
    """
    seen = {name: family for name, family in families.items() if name not in control.hidden}
    log_e, found, axis = first_accusation(evidence, honest, seen, near, alpha)
    replies = evidence[honest[0]]
    return ControlFacts(
        name=control.name, role=control.role, member=control.member, requests=len(replies),
        tokens=sum(int((rows["silent"] == 0).sum()) for rows in replies), log_e=log_e, found_at=found, axis=axis,
    )  # fmt: skip


def accusing_axes(facts: AuditFacts | None) -> set[str]:
    """The axes on which replies accuse a host."""
    return {axis for _, axis in _crossings(facts)} if facts else set()


def _crossings(facts: AuditFacts) -> list[tuple[int, str]]:
    """After how many requests which axis accuses."""
    told = facts.logprobs
    found = [
        (facts.weights.crossed_at, "identity"),
        (facts.sampler.crossed_at if facts.sampler else 0, "integrity"),
        (facts.length.crossed_at if facts.length else 0, "integrity"),
        (facts.requests if facts.repeated else 0, "integrity"),
        (told.over_at if told else 0, "displacement"),
        (told.forged_at if told else 0, "displacement"),
    ]
    return [(at or 0, axis) for at, axis in found if at]


def host_facts(
    control: Control, facts: AuditFacts | None, untestable: str, candidate: AuditFacts | None
) -> ControlFacts:
    """What became of a running host that the user vouches for: whatever would accuse the candidate counts against it.

    It is measured only if it tells what the candidate is accused by.
    """
    if facts is None or untestable:
        return ControlFacts(
            name=control.name, role=control.role, member="", requests=0, tokens=0, log_e=0.0, found_at=0, axis="",
            untestable=untestable or "nothing was answered",
        )  # fmt: skip
    at, axis = min(_crossings(facts), default=(0, ""))
    accusing = accusing_axes(candidate)
    lost = ""
    if facts.lost > MOST_LOST * facts.requests:
        lost = f"{facts.lost} of {facts.requests} replies were lost"
    elif not facts.tokens:
        lost = "no reply holds a token that can be scored"
    elif "displacement" in accusing and facts.logprobs is None:
        lost = "it tells no log-probabilities, which accuse the candidate"
    elif "integrity" in accusing and facts.sampler is None:
        lost = "it tells no ids, without which sampler and lengths are not judged"
    return ControlFacts(
        name=control.name, role=control.role, member="", requests=facts.requests, tokens=facts.tokens,
        log_e=facts.weights.evidence, found_at=at, axis=axis, untestable="" if at else lost,
    )  # fmt: skip

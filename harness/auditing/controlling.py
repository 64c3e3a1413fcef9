"""Controls of an audit: hosts of known weights, made on this machine, asked the same questions and weighed alike.

An honest one must not be accused; two bad ones must be found, or nobody is cleared: one is a member of the bank, the other has
its whole kind hidden from the bank that weighs it. They sample in bf16 and in fp32 arithmetic; no endpoint is asked.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence

from harness.auditing.asking import round_ends
from harness.auditing.scorable import Ids, Scorable, until_silent
from harness.auditing.store import AuditFolder, Gathered
from harness.auditing.weighing import Weighing
from harness.comparisons.controls import Control, ControlFacts, accusing_axes, control_facts
from harness.observations.events import Event, StageStarted
from harness.reports.audit_card import AuditPlan
from harness.targets.bank import BankMember

_AT_ONCE = 16  # replies that are sampled together
#: Questions that an honest host is asked where the candidate is not accused.
FEW = 16
_FIRST_ROUND = 4  # known-bad hosts are mostly found at once


def run_controls(
    weighing: Weighing,
    plan: AuditPlan,
    members: Sequence[BankMember],
    prompts: Mapping[str, Sequence[Ids]],
    folder: AuditFolder,
    requests: int,
) -> Generator[Event, None, tuple[ControlFacts, ...]]:
    """Run those of the plan's controls that are made here, each until it is found.

    Bad ones over as many questions as the candidate answered, and not where the candidate is accused: they show that a silence
    means something. The honest one over as many where the candidate is accused, and over the first few where it is not.
    """
    if weighing.recut:  # texts are weighed in another way than these replies, whose ids are known
        return ()
    accused = bool(accusing_axes(weighing.facts))
    found = []
    for number, control in enumerate(plan.controls):
        if control.member and (control.role == "honest" or not accused):
            member = next(one for one in members if one.name == control.member)
            yield StageStarted("control", f"{control.name}, sampled here")
            count = min(requests, FEW) if control.role == "honest" and not accused else requests
            found.append((yield from _run(weighing, plan, control, member, prompts, folder, count, number)))
    return tuple(found)


def _run(
    weighing: Weighing,
    plan: AuditPlan,
    control: Control,
    member: BankMember,
    prompts: Mapping[str, Sequence[Ids]],
    folder: AuditFolder,
    requests: int,
    number: int,
) -> Generator[Event, None, ControlFacts]:
    bench, own, done = weighing.bench, Gathered(), 0
    asked = prompts[member.fault]
    for end in round_ends(requests, _FIRST_ROUND):
        target = bench.open(member.spec)
        seed = plan.seed_of(plan.requests * (number + 1) + done)
        replies = target.generate(list(asked[done:end]), [plan.tokens] * (end - done), seed, _AT_ONCE)
        rows = yield from bench.evidence(
            [Scorable(until_silent(ids, bench.silent)) for ids in replies], done, brief=True
        )
        folder.keep_evidence(control.name, rows, (), [*plan.honest, *plan.families])
        own.add(rows, ())
        done = end
        facts = control_facts(control, own.evidence, plan.honest, plan.families, plan.near, plan.alpha)
        if facts.found_at:
            break
    return facts

"""Before questions: what an endpoint can do, and whether it does as it is told. Asked once per audit, also if it is resumed."""

from __future__ import annotations

from pathlib import Path

from harness.auditing.store import AuditFolder
from harness.comparisons.parameters import ParameterFacts, parameter_facts
from harness.errors import BudgetSpent, EndpointRefused, TargetRefused
from harness.prompts.trials import draw_trials
from harness.reports.audit_card import AuditPlan
from harness.targets.checkpoint.json_files import read_json
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.probe import Profile, State, probe
from harness.targets.endpoint.trials import try_all

#: Tokens of a prompt that are tried where the reference does not say how many it takes.
_USUAL = 4096


def probed(
    client: Client, folder: AuditFolder, reference: str, plan: AuditPlan
) -> tuple[Profile, ParameterFacts | None]:
    """The capability table with the outcome of trials in it."""
    known = folder.profile()
    if known:
        return known
    profile, facts = probe(client), None
    if plan.protocol == "chat":
        _refuse_unknown(profile)
    if plan.checks != "none" and (plan.protocol == "chat" or profile.state("chat") is State.YES):
        try:
            trials = draw_trials(context_of(reference), thorough=plan.checks == "thorough")
            facts = parameter_facts(try_all(client, trials))
        except BudgetSpent:
            folder.keep_profile(profile, None)
            raise
        rows = (*profile.capabilities, *facts.rows)
        profile = profile.model_copy(update={"capabilities": rows, "requests": profile.requests + facts.requests})
    folder.keep_profile(profile, facts)
    return profile, facts


def _refuse_unknown(profile: Profile) -> None:
    """Raise EndpointRefused where the address or the model is not there: nothing is said of a host by asking it on."""
    chat = next((one for one in profile.capabilities if one.name == "chat"), None)
    if chat and chat.detail.startswith("404"):
        serves = f"it serves {', '.join(profile.models[:5])}" if profile.models else "its list of models is empty"
        raise EndpointRefused(
            f"the endpoint does not know what is asked for ({chat.detail}); {serves}",
            where=profile.endpoint,
            fix="write the model's name behind '#', as in https://host/v1#model, and check the path",
        )


def context_of(reference: str) -> int:
    """Tokens of a prompt that a reference takes, by its own configuration, less some for the reply."""
    try:
        config = read_json(Path(reference) / "config.json")
    except (OSError, ValueError, TargetRefused):
        return _USUAL
    inner = config.get("text_config")
    found = [one.get("max_position_embeddings") for one in (config, inner) if isinstance(one, dict)]
    stated = [one for one in found if type(one) is int and one > 0]
    return int(0.9 * stated[0]) if stated else _USUAL

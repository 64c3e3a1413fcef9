"""``fidelity plan``: what an audit of a host's text would cost, or what a given one would miss."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

from harness.cli.display import make_display
from harness.comparisons.audit import audit_bank
from harness.config import Places
from harness.evidence.planning import barrier, requests_needed, requests_over_band, smallest_divergence
from harness.numbers import number
from harness.targets.bank import FULL, QUICK, bank_members
from harness.targets.spec import Runtime, parse_spec

if TYPE_CHECKING:
    from harness.auditing.planning import Measured


@click.command("plan")
@click.argument("reference", required=False, default="")
@click.option(
    "--suspect", default="", metavar="NAME", help="A build to plan for, measured here: ggufq:Q8_0, bnb:nf4, fp8, ..."
)
@click.option("--kl", default=0.0, help="Its divergence instead, KL(build || reference) in nats per token.")
@click.option("--budget", default=0, metavar="TOKENS", help="Say what this many tokens of output would find.")
@click.option("--share", default=1.0, show_default=True, help="Share of the requests that the build serves.")
@click.option("--length", default=56.0, show_default=True, help="Scored tokens per reply.")
@click.option("--bank", default="full", show_default=True, help="quick, full, or a list: it pays for its size.")
@click.option("--alpha", default=0.01, show_default=True, help="Probability of accusing an honest host.")
@click.option("--power", default=0.95, show_default=True, help="Probability of finding the build.")
@click.option(
    "--access",
    default="ids",
    show_default=True,
    type=click.Choice(["logprobs", "ids", "text"]),
    help="Whether the host tells log-probabilities, the ids of its tokens, or text alone, where every reply is charged.",
)
@click.option("--charge", default=0.0, help="That charge, in nats per reply; --suspect measures it.")
@click.option("--price", default=0.0, help="Price of a million tokens of output, in any currency.")
@click.option("--threads", default=0, help="Compute threads; 0 takes what this process may use.")
def command(
    reference: str,
    suspect: str,
    kl: float,
    budget: int,
    share: float,
    length: float,
    bank: str,
    alpha: float,
    power: float,
    access: str,
    charge: float,
    price: float,
    threads: int,
) -> int:
    """Say how many requests of text decide about a suspected build, before any host is asked.

    Give the build's divergence with --kl, or REFERENCE and --suspect to measure it on this machine; with --budget the
    question is turned around. What is planned is an audit of sampled text, with log-probabilities, with ids, or with neither.
    """
    _check(reference, suspect, kl, budget, {"--alpha": alpha, "--power": power, "--share": share}, access, charge)
    names = {"quick": QUICK, "full": FULL}.get(bank) or tuple(bank.split(","))
    members = bank_members(names, parse_spec("reference"))
    weighed = audit_bank({m.name: m.family for m in members}, [m.name for m in members if m.near])
    places = [k for k, m in enumerate(members) if m.name == suspect] or range(len(members))
    bars = [(barrier(weighed, place, share, alpha), weighed.alternatives[place].tolerance) for place in places]
    lines = []
    if suspect:
        from harness.auditing.planning import measure_suspect  # noqa: PLC0415 - brings the models along
        from harness.auditing.preparing import DRAWS  # noqa: PLC0415 - brings the models along

        display = make_display("auto")
        with display:
            steps = measure_suspect(
                reference, suspect, Runtime(threads=threads), Places.default().cache, DRAWS if access == "text" else 0
            )
            while True:
                try:
                    display.show(next(steps))
                except StopIteration as end:
                    measured = end.value
                    break
        found, length, charge = measured.divergence, measured.length, measured.charge
        kl = found.value
        lines.append(
            f"{suspect}: {number(kl)} nat/token ({number(found.low)} to {number(found.high)}, 95 % over {found.clusters} replies)"
            + (f", less {charge:.2g} nat per reply of {length:.0f} tokens without ids" if charge else "")
        )
    if suspect and access == "logprobs":
        lines.append(_by_logprobs(measured, alpha, power, share, price))
    elif kl:
        need = max(
            (requests_needed(kl, length, bar, power, share, slack, charge=charge) for bar, slack in bars),
            key=lambda one: one.requests,
        )
        if math.isinf(need.requests):
            raise click.UsageError("such a build is never found: it gains less than it is charged")
        requests = max(math.ceil(need.requests), 1)
        tokens = math.ceil(requests * length)
        cost = f", {tokens * price / 1e6:.2g} at {price:g} per million" if price else ""
        lines.append(f"found with {power:.0%} probability within {requests:,} requests, {tokens:,} tokens{cost}")
    if budget:
        least = max(smallest_divergence(budget, length, bar, power, share, slack, charge) for bar, slack in bars)
        lines.append(
            f"{budget:,} tokens find a listed build from {number(least)} nat/token on with {power:.0%} probability"
        )
    lines.append(
        f"alpha {alpha:g}, a bank of {len(names)}, on {share:.0%} of requests; builds outside the bank may never be found"
    )
    for line in lines:
        click.echo(line)
    return 0


def _by_logprobs(measured: Measured, alpha: float, power: float, share: float, price: float) -> str:
    """How soon told log-probabilities accuse such a host, beside honest arithmetic."""
    requests = requests_over_band(measured.distances, measured.bands, alpha / 2, power, share)
    if math.isinf(requests):
        raise click.UsageError("told log-probabilities do not tell such a build from honest arithmetic")
    tokens = math.ceil(requests * measured.length)
    cost = f", {tokens * price / 1e6:.2g} at {price:g} per million" if price else ""
    return (
        f"found by told log-probabilities with {power:.0%} probability within {requests:,.0f} requests, {tokens:,} tokens{cost} "
        f"(honest arithmetic lies {number(float(measured.bands.mean()))} nat/token away)"
    )


def _check(
    reference: str, suspect: str, kl: float, budget: int, chances: dict[str, float], access: str, charge: float
) -> None:
    """Raise UsageError for what cannot be planned."""
    for name, value in chances.items():
        if not 0 < value <= 1:
            raise click.UsageError(f"{name} takes a number above 0 and at most 1")
    if not kl and not suspect and not budget:
        raise click.UsageError("give --kl, or REFERENCE and --suspect, or --budget")
    if suspect and not reference:
        raise click.UsageError("--suspect is measured on a REFERENCE")
    if charge < 0 or (charge and access != "text"):
        raise click.UsageError("--charge is what a reply costs with --access text")
    if access == "logprobs" and not suspect:
        raise click.UsageError("--access logprobs is measured: give REFERENCE and --suspect")
    if access == "text" and not suspect and not charge:
        raise click.UsageError("--access text needs --charge, or REFERENCE and --suspect to measure it")

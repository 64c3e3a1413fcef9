"""``fidelity demo``: the main job on the embedded default, with every verdict known beforehand."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from harness.cli.display import make_display
from harness.cli.execution import execute
from harness.config import Places, writable
from harness.pipeline import Candidate, Request
from harness.suites.model import Profile
from harness.targets.demo_model import NAME, build_demo_reference, demo_reference
from harness.targets.spec import Runtime
from harness.verdicts.model import Cause, Outcome

#: What the demo measures: enough for all five verdicts. Replies of ten prompts are sampled together.
PART = Profile(documents=10, prompts=10, band_documents=5)
#: (change, what it is sold as, the verdict that is right, its cause)
ACTS = (
    ("dtype:bf16", "bf16", Outcome.WITHIN, None),
    ("bnb:int8", "bf16", Outcome.BEYOND, Cause.QUANTIZATION),
    ("bnb:nf4", "bf16", Outcome.BEYOND, Cause.QUANTIZATION),
    ("bnb:nf4", "nf4", Outcome.WITHIN, None),
    ("rtn:4", "bf16", Outcome.BEYOND, Cause.QUANTIZATION),
)


@click.command("demo")
@click.option("--model-file", type=click.Path(path_type=Path), help="The demo's wheel or GGUF, for offline use.")
@click.option("--model-to", type=click.Path(path_type=Path), metavar="DIR",
              help="Only put the demo's model into a folder of yours, to quantize and compare it.")  # fmt: skip
@click.option("--profile", default="demo", show_default=True, help="The part of the suite: demo, quick or full.")
@click.option("--hosts", is_flag=True, help="Audit four real servers on this machine instead (needs the extra hosts).")
@click.option("--threads", default=0, help="Compute threads; 0 takes what this process may use.")
@click.option("--fresh", is_flag=True, help="Start a new run even if an unfinished one could be resumed.")
@click.option("--results", type=click.Path(path_type=Path), help="Where runs are kept [default: ./results].")
@click.option("--display", default="auto", type=click.Choice(["auto", "rich", "plain", "none"]))
def command(
    model_file: Path | None,
    model_to: Path | None,
    profile: str,
    hosts: bool,  # noqa: FBT001
    threads: int,
    fresh: bool,  # noqa: FBT001
    results: Path | None,
    display: str,
) -> int:
    """Compare SmolLM2-135M-Instruct with four quantized copies of itself under five claims.

    With --hosts, four real llama.cpp servers are audited instead: one as it should be, one with 4-bit weights, one with another
    template, one that sends a quarter of the requests to 4-bit weights. Exits 0 if and only if every verdict is the expected one.
    """
    places = Places.default()
    places = Places(results or places.results, places.cache)
    for line in build_demo_reference(places.cache, model_file):
        click.echo(f"[model] {line}", err=True)
    if model_to:
        shutil.copytree(demo_reference(places.cache), writable(model_to, "model"), dirs_exist_ok=True)
        click.echo(str(model_to))
        return 0
    if hosts:
        from harness.cli.demo_hosts import show_hosts  # noqa: PLC0415 - brings httpx along

        return show_hosts(places, make_display(display), model_file, threads)
    base = str(demo_reference(places.cache))
    request = Request(
        reference=base,
        candidates=tuple(Candidate(f"{change}:{base}", claim) for change, claim, _, _ in ACTS),
        profile=profile,
        part=PART if profile == "demo" else None,
        runtime=Runtime(threads=threads),
        fresh=fresh,
        command=f"fidelity demo --profile {profile}",
    )
    scorecard = execute(request, places, make_display(display))
    wrong = 0
    click.echo(f"\n{NAME} and its copies: expected and found", err=True)
    for (change, claim, outcome, cause), card in zip(ACTS, scorecard.candidates, strict=True):
        found = (card.verdict.outcome, card.verdict.cause)
        right = found == (outcome, cause)
        wrong += not right
        names = f"{outcome}{f'({cause})' if cause else ''}", f"{found[0]}{f'({found[1]})' if found[1] else ''}"
        click.echo(
            f"  {'ok   ' if right else 'WRONG'} {change} sold as {claim}: {names[0]}, found {names[1]}", err=True
        )
    return 1 if wrong else 0

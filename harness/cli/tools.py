"""``fidelity tools``: does calling tools still work, and who breaks what?"""

from __future__ import annotations

import os
from pathlib import Path

import click

from harness.config import Places


@click.command("tools")
@click.argument("reference")
@click.argument("candidates", nargs=-1)
@click.option(
    "--cases", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="Cases of yours, JSON lines."
)
@click.option(
    "--max-tokens", default=2048, show_default=True, help="Tokens of a reply, at most; models that reason need them."
)
@click.option("--record", type=click.Path(path_type=Path, dir_okay=False),
              help="Write what the reference answered here; such a file can stand as REFERENCE later.")  # fmt: skip
@click.option("--control/--no-control", default=True,
              help="Ask the reference twice (a checkpoint: in other arithmetic): what changes by itself.")  # fmt: skip
@click.option("--alpha", default=0.01, show_default=True, help="Probability of accusing a candidate that is no worse.")
@click.option("--margin", default=0.05, show_default=True, help="Loss that counts as none, as a share of the cases.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, auto (transformers' device_map).")
@click.option("--dtype", default="auto", show_default=True, type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
              help="Number format in which checkpoints run.")  # fmt: skip
@click.option("--threads", default=0, help="Compute threads; 0 takes what the machine offers.")
@click.option("--api-key-env", "key", default="", metavar="NAME", help="Environment variable with the candidates' key.")
@click.option("--reference-key-env", "reference_key", default="", metavar="NAME",
              help="Environment variable with the reference's key, where it is an endpoint.")  # fmt: skip
@click.option(
    "--concurrency", default=4, show_default=True, help="Requests on their way to an endpoint at once, at most."
)
@click.option("--budget", default="", metavar="CAPS",
              help="Hard caps per endpoint: tokens=200000,requests=400,seconds=3600,money=0.5.")  # fmt: skip
@click.option("--price", default="", metavar="IN/OUT", help="Prices of an endpoint's tokens, per million.")
@click.option("--fresh", is_flag=True, help="Start a new run even if an unfinished one could be resumed.")
@click.option("--results", type=click.Path(path_type=Path), help="Where runs are kept [default: ./results].")
@click.option("--display", default="auto", type=click.Choice(["auto", "rich", "plain", "none"]))
def command(
    reference: str,
    candidates: tuple[str, ...],
    cases: Path | None,
    max_tokens: int,
    record: Path | None,
    control: bool,  # noqa: FBT001
    alpha: float,
    margin: float,
    device: str,
    dtype: str,
    threads: int,
    key: str,
    reference_key: str,
    concurrency: int,
    budget: str,
    price: str,
    fresh: bool,  # noqa: FBT001
    results: Path | None,
    display: str,
) -> int:
    """Offer REFERENCE and CANDIDATES the same tools in the same cases, and hold what they call side by side.

    REFERENCE is an endpoint (https://host/v1#model: the vendor's own), a checkpoint, or a record that was made with --record;
    candidates are endpoints, checkpoints or quantized copies. Without candidates the reference is recorded.
    """
    from rich.console import Console  # noqa: PLC0415

    from harness.cli.caps import read_caps  # noqa: PLC0415
    from harness.cli.display import follow, make_display  # noqa: PLC0415
    from harness.cli.execution import stoppable  # noqa: PLC0415
    from harness.reports.task_card import print_task_card  # noqa: PLC0415
    from harness.targets.spec import Runtime  # noqa: PLC0415
    from harness.tasking.requests import ToolRequest  # noqa: PLC0415
    from harness.tasking.run import run_tools  # noqa: PLC0415

    request = ToolRequest(
        reference=reference, candidates=candidates, cases=cases, max_tokens=max_tokens, record=record, control=control,
        alpha=alpha, margin=margin, fresh=fresh, key=key, reference_key=reference_key, concurrency=concurrency,
        caps=read_caps(budget, price), runtime=Runtime(device=device, dtype=dtype, threads=threads),
    )  # fmt: skip
    places = Places(results or Places.default().results, Places.default().cache)
    shown = make_display(display)
    with stoppable() as stop, shown:
        card, folder = follow(run_tools(request, places, stop), shown)
    if record:
        click.echo(f"recorded: {record}")
    if card is None:
        return 0
    print_task_card(card, folder, Console(highlight=False, width=None if os.isatty(1) else 150))
    return card.exit_code

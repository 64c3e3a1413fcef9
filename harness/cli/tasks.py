"""``fidelity tasks``: does anybody get worse answers?"""

from __future__ import annotations

import os
from pathlib import Path

import click

from harness.config import Places


@click.command("tasks")
@click.argument("reference", required=False)
@click.argument("candidates", nargs=-1)
@click.option("--tasks", "names", default="fidelity", show_default=True, metavar="NAMES",
              help="Tasks or tags, by commas: shipped ones, lm-eval's own, or YAML files of yours.")  # fmt: skip
@click.option("--limit", default=0, help="Items of each task, its first ones; 0 for all.")
@click.option("--chat/--no-chat", default=None,
              help="Ask as conversations, or as plain text [default: as the reference has a template or not].")  # fmt: skip
@click.option("--control/--no-control", default=True,
              help="Ask the reference in other arithmetic, too: its changed answers are the yardstick.")  # fmt: skip
@click.option("--alpha", default=0.01, show_default=True, help="Probability of accusing a candidate that is no worse.")
@click.option("--margin", default=0.02, show_default=True, help="Loss that counts as none, as a share of the items.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, auto (transformers' device_map).")
@click.option("--dtype", default="auto", show_default=True, type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
              help="Number format in which both sides run.")  # fmt: skip
@click.option("--threads", default=0, help="Compute threads; 0 takes what the machine offers.")
@click.option("--api-key-env", "key", default="", metavar="NAME", help="Environment variable with an endpoint's key.")
@click.option(
    "--concurrency", default=4, show_default=True, help="Requests on their way to an endpoint at once, at most."
)
@click.option(
    "--budget",
    default="",
    metavar="CAPS",
    help="Hard caps per endpoint: tokens=20000,requests=100,seconds=600,money=0.5.",
)
@click.option("--price", default="", metavar="IN/OUT", help="Prices of an endpoint's tokens, per million.")
@click.option("--list", "listing", is_flag=True, help="List the shipped tasks.")
@click.option("--fresh", is_flag=True, help="Start a new run even if an unfinished one could be resumed.")
@click.option("--results", type=click.Path(path_type=Path), help="Where runs are kept [default: ./results].")
@click.option("--display", default="auto", type=click.Choice(["auto", "rich", "plain", "none"]))
def command(
    reference: str | None,
    candidates: tuple[str, ...],
    names: str,
    limit: int,
    chat: bool | None,  # noqa: FBT001
    control: bool,  # noqa: FBT001
    alpha: float,
    margin: float,
    device: str,
    dtype: str,
    threads: int,
    key: str,
    concurrency: int,
    budget: str,
    price: str,
    listing: bool,  # noqa: FBT001
    fresh: bool,  # noqa: FBT001
    results: Path | None,
    display: str,
) -> int:
    """Ask REFERENCE and CANDIDATES the same items and count who goes from right to wrong.

    Targets are written as for ``fidelity compare``; a candidate may be an endpoint, https://host/v1#model. Needs the extra
    lm-eval, whose tasks ask and whose scorers judge.
    """
    from rich.console import Console  # noqa: PLC0415

    from harness.cli.caps import read_caps  # noqa: PLC0415
    from harness.cli.display import follow, make_display  # noqa: PLC0415
    from harness.cli.execution import stoppable  # noqa: PLC0415
    from harness.observations.lm_eval import shipped_tasks  # noqa: PLC0415
    from harness.reports.task_card import print_task_card  # noqa: PLC0415
    from harness.targets.spec import Runtime  # noqa: PLC0415
    from harness.tasking.requests import TaskRequest  # noqa: PLC0415
    from harness.tasking.run import run_tasks  # noqa: PLC0415

    if listing:
        for tag, tasks in shipped_tasks().items():
            click.echo(f"{tag}: {', '.join(tasks)}")
        return 0
    if reference is None:
        raise click.UsageError("give a reference and candidates")
    request = TaskRequest(
        reference=reference, candidates=candidates, limit=limit, chat=chat, control=control, alpha=alpha, margin=margin,
        tasks=tuple(name.strip() for name in names.split(",") if name.strip()), fresh=fresh, key=key,
        concurrency=concurrency, caps=read_caps(budget, price),
        runtime=Runtime(device=device, dtype=dtype, threads=threads),
    )  # fmt: skip
    places = Places(results or Places.default().results, Places.default().cache)
    shown = make_display(display)
    with stoppable() as stop, shown:
        card, folder = follow(run_tasks(request, places, stop), shown)
    print_task_card(card, folder, Console(highlight=False, width=None if os.isatty(1) else 150))
    return card.exit_code

"""``fidelity tasks``: does anybody get worse answers?"""

from __future__ import annotations

import os
from typing import Any

import click

from harness.cli.options import request_fields, run_options
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
@click.option("--margin", default=0.02, show_default=True, help="Loss that counts as none, as a share of the items.")
@click.option("--list", "listing", is_flag=True, help="List the shipped tasks.")
@run_options
def command(
    reference: str | None,
    candidates: tuple[str, ...],
    names: str,
    limit: int,
    chat: bool | None,  # noqa: FBT001
    control: bool,  # noqa: FBT001
    margin: float,
    listing: bool,  # noqa: FBT001
    **given: Any,
) -> int:
    """Ask REFERENCE and CANDIDATES the same items and count who goes from right to wrong.

    Targets are written as for ``fidelity compare``; a candidate may be an endpoint, https://host/v1#model. Needs the extra
    lm-eval, whose tasks ask and whose scorers judge.
    """
    from rich.console import Console  # noqa: PLC0415

    from harness.cli.display import follow, make_display  # noqa: PLC0415
    from harness.cli.execution import stoppable  # noqa: PLC0415
    from harness.observations.lm_eval import shipped_tasks  # noqa: PLC0415
    from harness.reports.task_card import print_task_card  # noqa: PLC0415
    from harness.tasking.requests import TaskRequest  # noqa: PLC0415
    from harness.tasking.run import run_tasks  # noqa: PLC0415

    if listing:
        for tag, tasks in shipped_tasks().items():
            click.echo(f"{tag}: {', '.join(tasks)}")
        return 0
    if reference is None:
        raise click.UsageError("give a reference and candidates")
    request = TaskRequest(
        reference=reference, candidates=candidates, limit=limit, chat=chat, control=control, margin=margin,
        tasks=tuple(name.strip() for name in names.split(",") if name.strip()), **request_fields(given),
    )  # fmt: skip
    places = Places(given["results"] or Places.default().results, Places.default().cache)
    shown = make_display(given["display"])
    with stoppable() as stop, shown:
        card, folder = follow(run_tasks(request, places, stop), shown)
    print_task_card(card, folder, Console(highlight=False, width=None if os.isatty(1) else 150))
    return card.exit_code

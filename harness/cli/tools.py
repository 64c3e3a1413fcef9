"""``fidelity tools``: does calling tools still work, and who breaks what?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from harness.cli.options import request_fields, run_options
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
@click.option("--margin", default=0.05, show_default=True, help="Loss that counts as none, as a share of the cases.")
@click.option("--reference-key-env", "reference_key", default="", metavar="NAME",
              help="Environment variable with the reference's key, where it is an endpoint.")  # fmt: skip
@run_options
def command(
    reference: str,
    candidates: tuple[str, ...],
    cases: Path | None,
    max_tokens: int,
    record: Path | None,
    control: bool,  # noqa: FBT001
    margin: float,
    reference_key: str,
    **given: Any,
) -> int:
    """Offer REFERENCE and CANDIDATES the same tools in the same cases, and hold what they call side by side.

    REFERENCE is an endpoint (https://host/v1#model: the vendor's own), a checkpoint, or a record that was made with --record;
    candidates are endpoints, checkpoints or quantized copies. Without candidates the reference is recorded.
    """
    from rich.console import Console  # noqa: PLC0415

    from harness.cli.display import follow, make_display  # noqa: PLC0415
    from harness.cli.execution import stoppable  # noqa: PLC0415
    from harness.reports.task_card import print_task_card  # noqa: PLC0415
    from harness.tasking.requests import ToolRequest  # noqa: PLC0415
    from harness.tasking.run import run_tools  # noqa: PLC0415

    request = ToolRequest(
        reference=reference, candidates=candidates, cases=cases, max_tokens=max_tokens, record=record, control=control,
        margin=margin, reference_key=reference_key, **request_fields(given),
    )  # fmt: skip
    places = Places(given["results"] or Places.default().results, Places.default().cache)
    shown = make_display(given["display"])
    with stoppable() as stop, shown:
        card, folder = follow(run_tools(request, places, stop), shown)
    if record:
        click.echo(f"recorded: {record}")
    if card is None:
        return 0
    print_task_card(card, folder, Console(highlight=False, width=None if os.isatty(1) else 150))
    return card.exit_code

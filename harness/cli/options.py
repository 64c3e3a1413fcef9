"""Options that every run of tasks or tool calls takes, written once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Command = Callable[..., Any]
_OPTIONS = (
    click.option("--alpha", default=0.01, show_default=True, help="Probability of accusing a candidate that is no worse."),
    click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, auto (transformers' device_map)."),
    click.option("--dtype", default="auto", show_default=True, type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
                 help="Number format in which checkpoints run."),
    click.option("--threads", default=0, help="Compute threads; 0 takes what this process may use."),
    click.option("--api-key-env", "key", default="", metavar="NAME", help="Environment variable with the candidates' key."),
    click.option("--concurrency", default=4, show_default=True, help="Requests on their way to an endpoint at once, at most."),
    click.option("--budget", default="", metavar="CAPS",
                 help="Hard caps per endpoint: tokens=200000,requests=400,seconds=3600,money=0.5."),
    click.option("--price", default="", metavar="IN/OUT", help="Prices of an endpoint's tokens, per million."),
    click.option("--fresh", is_flag=True, help="Start a new run even if an unfinished one could be resumed."),
    click.option("--results", type=click.Path(path_type=Path), help="Where runs are kept [default: ./results]."),
    click.option("--display", default="auto", type=click.Choice(["auto", "rich", "plain", "none"])),
)  # fmt: skip


_EXTRAS = (
    click.option("--extra-body", default="", metavar="JSON",
                 help="Fields that go out with every request to an endpoint, such as a router's provider."),
    click.option("--header", "headers", multiple=True, metavar="NAME=VARIABLE",
                 help="A header of every request; its value is read from an environment variable. Repeatable."),
    click.option("--query", multiple=True, metavar="NAME=VALUE", help="A query parameter of every request. Repeatable."),
)  # fmt: skip


def extra_options(command: Command) -> Command:
    """What goes out with every request to an endpoint; a command takes them as ``extra_body``, ``headers`` and ``query``."""
    for option in reversed(_EXTRAS):
        command = option(command)
    return command


def run_options(command: Command) -> Command:
    """Put the options behind those that a command has of its own; it takes them as ``**given``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def request_fields(given: dict[str, Any]) -> dict[str, Any]:
    """What the options say of a request, whatever it asks."""
    from harness.cli.caps import read_caps  # noqa: PLC0415
    from harness.targets.spec import Runtime  # noqa: PLC0415

    return {
        "alpha": given["alpha"], "fresh": given["fresh"], "key": given["key"], "concurrency": given["concurrency"],
        "caps": read_caps(given["budget"], given["price"]),
        "runtime": Runtime(device=given["device"], dtype=given["dtype"], threads=given["threads"]),
    }  # fmt: skip

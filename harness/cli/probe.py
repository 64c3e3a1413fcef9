"""``fidelity probe``: what an endpoint can do, and what that lets an audit find out."""

from __future__ import annotations

import os
from pathlib import Path

import click

from harness.cli.options import extra_options


@click.command("probe")
@click.argument("endpoint")
@click.option("--api-key-env", "key", default="", metavar="NAME", help="Environment variable with the endpoint's key.")
@extra_options
@click.option("--json", "output", type=click.Path(path_type=Path, dir_okay=False), help="Write the table here.")
def command(
    endpoint: str, key: str, extra_body: str, headers: tuple[str, ...], query: tuple[str, ...], output: Path | None
) -> int:
    """Find out what ENDPOINT (https://host/v1#model) can do, by at most 20 requests of a few tokens.

    Parameters are judged by their effect: one that is taken without complaint and changes nothing is "ignored".
    """
    from rich.console import Console  # noqa: PLC0415

    from harness.reports.profile import print_profile  # noqa: PLC0415
    from harness.targets.endpoint.address import parse_address  # noqa: PLC0415
    from harness.targets.endpoint.client import Client  # noqa: PLC0415
    from harness.targets.endpoint.extras import read_extras  # noqa: PLC0415
    from harness.targets.endpoint.probe import probe  # noqa: PLC0415

    with Client(parse_address(endpoint, key, read_extras(extra_body, headers, query))) as client:
        profile = probe(client)
    if output:
        output.write_text(profile.model_dump_json(indent=1) + "\n", encoding="utf-8")
    print_profile(profile, Console(highlight=False, width=None if os.isatty(1) else 140))
    return 0

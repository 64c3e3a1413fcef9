"""``fidelity template``: do two sides turn the same conversations into the same prompts?"""

from __future__ import annotations

import os
from pathlib import Path

import click

from harness.cli.options import extra_options
from harness.config import Places
from harness.reports.prompt_card import print_prompt_card


@click.command("template")
@click.argument("reference")
@click.argument("candidate")
@click.option(
    "--access",
    type=click.Choice(["auto", "introspection", "self-render", "counts"]),
    default="auto",
    show_default=True,
    help="How to look into an endpoint: by what its engine shows, by its answers to conversations and to the reference's own "
    "prompts, or by usage.prompt_tokens alone.",
)
@click.option("--api-key-env", "key", default="", metavar="NAME", help="Environment variable with the endpoint's key.")
@extra_options
@click.option("--impact", is_flag=True, help="Measure what differences cost, in KL on the reference's weights.")
@click.option("--threads", default=0, help="Compute threads for --impact; 0 takes what this process may use.")
@click.option("--json", "output", type=click.Path(path_type=Path, dir_okay=False), help="Write the whole card here.")
def command(
    reference: str,
    candidate: str,
    access: str,
    key: str,
    extra_body: str,
    headers: tuple[str, ...],
    query: tuple[str, ...],
    impact: bool,  # noqa: FBT001 - click passes flags by name
    threads: int,
    output: Path | None,
) -> int:
    """Compare the prompts of REFERENCE and CANDIDATE on 44 cases, and name the fault that tells them apart.

    Each is a checkpoint folder, a GGUF file, a chat template (.jinja), a tokenizer.json or a tekken.json; minijinja:PATH
    is any of these as a gateway written in Rust renders it, llamacpp:PATH as llama.cpp's own engine does, encoder:NAME:FILE
    a file with an installed program that makes prompts of it. CANDIDATE may also be an endpoint, https://host/v1#model: it
    is asked for some dozens of tokens of output.
    No model is loaded unless --impact is given.
    """
    from rich.console import Console  # noqa: PLC0415

    from harness.prompting import compare_endpoint, compare_templates, with_impact  # noqa: PLC0415
    from harness.targets.endpoint.address import is_address, parse_address  # noqa: PLC0415
    from harness.targets.endpoint.extras import read_extras  # noqa: PLC0415

    cache, extras = Places.default().cache, read_extras(extra_body, headers, query)
    if extras and not is_address(candidate):
        raise click.UsageError(
            "--extra-body, --header and --query go out with requests; this candidate is asked nothing"
        )
    if is_address(candidate):
        from harness.targets.endpoint.client import Client  # noqa: PLC0415

        with Client(parse_address(candidate, key, extras)) as client:
            card = compare_endpoint(reference, client, cache, access)  # type: ignore[arg-type]
    else:
        card = compare_templates(reference, candidate, cache)
    card = with_impact(card, reference, cache, threads) if impact else card
    if output:
        output.write_text(card.model_dump_json(indent=1) + "\n", encoding="utf-8")
    print_prompt_card(card, Console(highlight=False, width=None if os.isatty(1) else 140))
    return card.exit_code

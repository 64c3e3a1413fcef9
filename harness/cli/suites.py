"""``fidelity suites``: what can be asked."""

from __future__ import annotations

import click

from harness.suites.load import load_suite, suite_names


@click.command("suites")
def command() -> int:
    """List the shipped suites with their digests and what each can show."""
    for name in suite_names():
        suite = load_suite(name)
        head = suite.head
        click.echo(f"{head.name} v{head.version}  {suite.digest[:12]}  {len(suite.items)} items  {head.licence}")
        click.echo(f"  {head.title}: {head.purpose}")
        for profile, part in head.profiles.items():
            documents = "all" if part.documents is None else part.documents
            prompts = "all" if part.prompts is None else part.prompts
            click.echo(f"  --profile {profile}: {documents} documents, {prompts} sampled prompts")
    return 0

"""What an endpoint can do, as the terminal shows it, and the checks that this makes possible."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.redact import safe_line
from harness.targets.endpoint.probe import Profile, State

_COLOURS = {State.YES: "green", State.IGNORED: "red"}


def print_profile(profile: Profile, console: Console) -> None:
    """Print the table and the checks."""
    engine = profile.engine or "not recognised"
    console.print(Text(f"\n{safe_line(profile.endpoint)}   engine {engine}   {profile.requests} requests"))
    if profile.models:
        console.print(Text(f"serves {', '.join(profile.models[:5])}{' ...' if len(profile.models) > 5 else ''}"))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for one in profile.capabilities:
        table.add_row(f"  {one.name}", Text(one.state, style=_COLOURS.get(one.state, "")), Text(one.detail))
    console.print(table)
    for name, possible in checks(profile):
        console.print(Text(f"  {name:<34} ").append(possible or "possible", style="" if possible else "green"))


def checks(profile: Profile) -> list[tuple[str, str]]:
    """Checks and, where one cannot run, the reason."""

    def needs(name: str, what: str) -> str:
        return "" if profile.state(name) is State.YES else f"needs {what}"

    return [
        ("prompts by introspection", needs("prompts shown", "an engine that shows its prompts")),
        ("prompts by the host's answers", needs("ids as prompt", "prompts of ids") or needs("logprobs", "logprobs")),
        ("prompts by counts", needs("usage", "usage.prompt_tokens")),
        ("text as evidence, with ids", needs("token ids", "ids of tokens")),
        ("text as evidence, charged", needs("chat", "chat completions")),
        ("log-probabilities of replies", needs("logprobs", "logprobs")),
        ("scores of fixed texts", needs("prompt scoring", "prompts that are scored") or needs("ids as prompt", "ids")),
    ]

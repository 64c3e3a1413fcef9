"""The ``fidelity`` command: its verbs, and the rim where every error becomes one message and one exit code."""

from __future__ import annotations

import sys
import traceback
from importlib import import_module

import click

from harness import __version__
from harness.errors import FidelityError
from harness.redact import safe_text

#: One line per verb, kept here so that ``--help`` needs none of their modules (a test holds them against each other).
_VERBS = {
    "baseline": "Save a result under version control, or ask whether a later one is worse.",
    "compare": "Compare candidates with a reference checkpoint.",
    "demo": "Compare a small chat model with quantized copies of itself.",
    "doctor": "Say what is installed, and how to get the rest.",
    "gate": "Judge a stored run by other bounds.",
    "ls": "List stored runs.",
    "plan": "Say what an audit of a host's text would cost, or would miss.",
    "probe": "Say what an endpoint can do, by what it does.",
    "publish": "Write stored runs as a folder for any static host.",
    "report": "Judge a stored run again and render it.",
    "show": "Show the plan of a stored run.",
    "suites": "List the shipped suites.",
    "tasks": "Ask the same items of all, and count who goes from right to wrong.",
    "template": "Compare the prompts of two checkpoints, GGUF files or templates.",
    "tools": "Offer all the same tools, and hold what they call side by side.",
    "vendor": "Recompute scorecards of vendors' verifiers, with error bars.",
}


_CRASHED = 70  # EX_SOFTWARE


class LazyGroup(click.Group):
    """Imports a verb's module only when that verb is used, so that ``--help`` stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in alphabetical order."""
        return list(_VERBS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of verbs in ``--help``."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(_VERBS.items()))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command object of a verb."""
        if cmd_name not in _VERBS:
            return None
        return getattr(import_module(f"harness.cli.{cmd_name}"), "command")  # type: ignore[no-any-return]  # noqa: B009


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fidelity")
def cli() -> None:
    """Is this thing the model it claims to be, what exactly differs, and how much does it matter?

    Exit codes: 0 within, 1 beyond or gate failed, 2 usage, 3 inconclusive or not testable, 4 target refused,
    130 interrupted.
    """


def main() -> None:
    """Run the command; known errors are shown without a traceback."""
    try:
        result = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    except FidelityError as error:
        click.echo(f"error: {safe_text(str(error))}", err=True)
        sys.exit(error.exit_code)
    except Exception as error:  # the rim: a crash must not exit with 1, which means BEYOND
        traceback.print_exc()
        click.echo(f"internal error: {safe_text(str(error))}; nothing was judged. Please report this.", err=True)
        sys.exit(_CRASHED)
    sys.exit(result if isinstance(result, int) else 0)

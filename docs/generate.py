"""Write the pages that are made from code: one per finding, and the command line reference.

make docs
"""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from harness.cli.main import _VERBS, cli
from harness.verdicts.findings import CATALOGUE

HERE = Path(__file__).resolve().parent
_SEVERITY = {
    "S0": "for information",
    "S1": "worth knowing",
    "S2": "likely to matter",
    "S3": "changes what users get",
    "S4": "makes the model unusable or another one",
}


def findings() -> None:
    """One page per code and an index."""
    folder = HERE / "findings"
    folder.mkdir(exist_ok=True)
    for page in folder.glob("*.md"):
        page.unlink()
    index = ["# Findings", "", "| code | severity | title | points to |", "|---|---|---|---|"]
    for code, entry in CATALOGUE.items():
        cause = entry.cause or "-"
        index.append(f"| [{code}]({code}.md) | {entry.severity} | {entry.title} | {cause} |")
        lines = [
            f"# {code}: {entry.title}", "", f"Severity {entry.severity} ({_SEVERITY[entry.severity]}). Points to: {cause}.",
            "", entry.meaning, "", f"What to do: {entry.fix}.", "",
        ]  # fmt: skip
        (folder / f"{code}.md").write_text("\n".join(lines), encoding="utf-8")
    (folder / "README.md").write_text("\n".join([*index, ""]), encoding="utf-8")


def command_line() -> None:
    """The help of every verb."""
    lines = ["# Command line", ""]
    for arguments in ([], *([verb] for verb in _VERBS)):
        result = CliRunner().invoke(cli, [*arguments, "--help"], prog_name="fidelity", terminal_width=110)
        lines += [f"## {' '.join(['fidelity', *arguments])}", "", "```", result.output.rstrip(), "```", ""]
    (HERE / "cli.md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    findings()
    command_line()

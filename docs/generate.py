"""Write the pages that are made from code and from committed results: findings, command line, benchmarks.

make docs
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from harness.cli.main import _VERBS, cli
from harness.prompts.faults import LIBRARY
from harness.verdicts.findings import CATALOGUE
from harness.verdicts.tokens_in import GROUP_CODES

HERE = Path(__file__).resolve().parent
FAULTS = {code: [f for f in LIBRARY if f.group == group] for group, code in GROUP_CODES.items()}
_SEVERITY = {
    "S0": "for information",
    "S1": "worth knowing",
    "S2": "likely to matter",
    "S3": "changes what users get",
    "S4": "makes the model unusable or another one",
}
#: name of a committed result -> title, command, what its rows are
_BENCHMARKS = {
    "logit_throughput": (
        "What exact comparison costs",
        "make bench-logits",
        "a: forward passes of the candidate with logits; r: one replay of the reference's head; f: forward passes of the "
        "reference into the cache; b: compare, reference cached; c: compare, reference not cached; d: lm-eval's rolling "
        "log-likelihood of the same text, its loop alone; e: the whole lm_eval command, once.",
    ),
    "llamacpp_anchor": (
        "Agreement with llama.cpp's perplexity tool",
        "make bench-llamacpp",
        "fp32 reference, weights requantised by the gguf package, 20 windows of 512 tokens, second halves scored.",
    ),
    "sketch_error": (
        "Error of a sketched reference",
        "make bench-sketch",
        "Bias: the sketch's mean over the exact mean, minus 1. kl_error: the relative standard error that the report "
        "prints without knowing the truth. certain_share: the part of the KL that the sketch proves.",
    ),
    "gptq_reader": (
        "The GPTQ reader beside gptqmodel's own kernel",
        "make bench-gptq",
        "Largest difference of a dense weight, in units of bf16's last place; files written by gptqmodel itself.",
    ),
    "fault_naming": (
        "Naming planted template faults",
        "make bench-faults",
        "Every fault of the library planted in real templates, with the family's own vocabulary where there is one. "
        "pairs: templates in which it changes ids; named: reproduced "
        "alone or in a tie of at most three; count_visible: the number of tokens moves on the chosen probes; count_named: "
        "named from numbers of tokens alone.",
    ),
    "live_prompts": (
        "Prompts of a live llama.cpp server",
        "make bench-live",
        "The demo model's own file, served on one thread as it is and with its template replaced. planted: the fault of the "
        "library that the replacement amounts to; named: that fault alone or in a tie of at most three; requests: all that "
        "were sent (by introspection they cost no tokens of output); seconds: from the first request to the verdict.",
    ),
    "gguf_tokenizers": (
        "GGUF vocabularies beside llama.cpp's golden ids",
        "make bench-gguf",
        "Texts that become other ids than llama.cpp makes of them, for the vocabularies in llama.cpp's own sources.",
    ),
    "template_corpus": (
        "Real templates on the template suite",
        "make bench-templates",
        "786 published templates on every conversation, twice, and once by transformers itself.",
    ),
    "interval_coverage": (
        "Coverage of nominal 95 % intervals",
        "make bench-calibration",
        "Simulated log-normal tokens with a document effect, 4,000 replications per row.",
    ),
}


def findings() -> dict[str, str]:
    """One page per code and an index."""
    index = ["# Findings", "", "| code | severity | title | points to |", "|---|---|---|---|"]
    pages = {}
    for code, entry in CATALOGUE.items():
        cause = entry.cause or "-"
        index.append(f"| [{code}]({code}.md) | {entry.severity} | {entry.title} | {cause} |")
        lines = [
            f"# {code}: {entry.title}", "", f"Severity {entry.severity} ({_SEVERITY[entry.severity]}). Points to: {cause}.",
            "", entry.meaning, "", f"What to do: {entry.fix}.", "",
        ]  # fmt: skip
        if faults := FAULTS.get(code):
            lines += ["| fault | severity | what happens |", "|---|---|---|"]
            lines += [f"| `{f.name}` | {f.severity} | {f.title} |" for f in faults] + [""]
        pages[f"findings/{code}.md"] = "\n".join(lines)
    return {"findings/README.md": "\n".join([*index, ""])} | pages


def command_line() -> dict[str, str]:
    """The help of every verb."""
    lines = ["# Command line", ""]
    for arguments in ([], *([verb] for verb in _VERBS)):
        result = CliRunner().invoke(cli, [*arguments, "--help"], prog_name="fidelity", terminal_width=110)
        lines += [f"## {' '.join(['fidelity', *arguments])}", "", "```", result.output.rstrip(), "```", ""]
    return {"cli.md": "\n".join(lines)}


def benchmarks() -> dict[str, str]:
    """Every committed result as a table, with the command that makes it again."""
    lines = [
        "# Benchmarks", "",
        "Every number that the README states comes from one of these results, which lie as JSON in `bench/results/`. Times are",
        "from two cores and mean little elsewhere; their ratios, taken side by side in one run, mean more.", "",
    ]  # fmt: skip
    for name, (title, command, about) in _BENCHMARKS.items():
        result = json.loads((HERE.parent / "bench" / "results" / f"{name}.json").read_text(encoding="utf-8"))
        columns = list(result["rows"][0])
        lines += [f"## {title}", "", f"`{command}`. {about}", ""]
        lines += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
        lines += ["| " + " | ".join(_cell(row[column]) for column in columns) + " |" for row in result["rows"]]
        lines.append("")
        lines += [f"- {fact}: {_cell(value)}" for fact, value in result["facts"].items()]
        lines.append("")
    return {"benchmarks.md": "\n".join(lines)}


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key} {_cell(inner)}" for key, inner in value.items())
    return "-" if value is None else str(value)


def pages() -> dict[str, str]:
    """Every generated page by its path under ``docs/``."""
    return findings() | command_line() | benchmarks()


def main() -> None:
    """Write the pages and remove those of findings that are no more."""
    made = pages()
    for page in (HERE / "findings").glob("*.md"):
        if f"findings/{page.name}" not in made:
            page.unlink()
    for path, text in made.items():
        (HERE / path).parent.mkdir(exist_ok=True)
        (HERE / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

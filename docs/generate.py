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
from harness.reports.schemas import schemas
from harness.verdicts.catalogue import CATALOGUE
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
    "narrow_products": (
        "Narrow products in fp32",
        "make bench-narrow",
        "Copies of the demo's model read the same texts by torch's own products and by ours. ratio: torch's seconds over ours; "
        "distances: mean KL in nat per token from the fp32 reference, and between the two, with standard errors over texts.",
    ),
    "preset_bits": (
        "Common builds against the presets of gates",
        "make bench-presets",
        "Copies of the demo's model on the quick core suite. kl: nat per token from the reference; bits: the round to nearest "
        "that moves it as far, with its 95 % interval over documents; then each preset's answer.",
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
    "formats": (
        "Formats of quantized checkpoints",
        "make bench-formats",
        "A random Llama with rows of 512 in every format, packed without the product's code. error: the largest difference of a "
        "weight as read, over the largest weight; error_576: the same for a matrix of 576 by 1536; own and as_bf16: the outcome "
        "under the declared claim and sold as bf16. No error rate is claimed.",
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
    "tokens_to_detection": (
        "Tokens until a matched alternative is found",
        "make bench-evidence",
        "Fresh tokens of each server on its own contexts, watched after every token, alpha 0.01. limit: ln(1/alpha)/KL in "
        "tokens; alone, bank, tolerant: tokens over that limit for the plain product, inside the bank against the supremum "
        "over honest hosts and samplers, and with the tolerance on (1/(1-s)^2 = 1.78 times as long); tokens: the last of "
        "them, in tokens; first_request: found before the first reply ends. growth: 95 % interval of the mean log ratio, "
        "to be compared with kl_coarse.",
    ),
    "evidence_peers": (
        "Published tests on the same text",
        "make bench-evidence",
        "Tokens at which each test finds half, or 95 %, of the audits of a server (-: not within the most that were tried), "
        "beside those of the bank with the tolerance on; times: their quotient, a lower bound where at_least is true. Tests "
        "with other access (log-probabilities, seeds) see more and stand for themselves.",
    ),
    "evidence_routing": (
        "Builds on a part of the requests",
        "make bench-evidence",
        "Requests until an audit finds a host that serves a build on a share of its requests, beside the planner's figures "
        "(over: planner's over simulated); found_in_50: within 50 requests; share_covered: 95 % intervals that hold the true "
        "share, out of share_runs.",
    ),
    "evidence_unlisted": (
        "Builds that the bank does not hold",
        "make bench-evidence",
        "The server's whole scheme is left out of the bank. mde_listed: the divergence of a listed build that an audit of "
        "so many tokens would have found.",
    ),
    "evidence_attribution": (
        "Causes that are named",
        "make bench-evidence",
        "Audits of 1.5 times the planner's 95th percentile. named: the server's own build, prompt or sampler; cause: any "
        "member of the same cause; quiet: no accusation.",
    ),
    "evidence_calibration": (
        "Accusations of honest hosts",
        "make bench-evidence",
        "Audits of 30,000 fresh tokens, watched after every request, that ever reach 1/alpha; at most 31 of 2,000 at 0.01 "
        "and 123 at 0.05 are compatible with alpha. fp32_alone: the same bank against the reference in fp32 alone.",
    ),
    "evidence_leanings": (
        "How honest stacks lean towards alternatives, on a CPU",
        "make bench-evidence",
        "beta: share of the way from the reference to the alternative, by the whole vocabulary; upper: end of its 95 % "
        "interval over requests, which has to stay under the tolerance of 0.25 for near alternatives.",
    ),
    "honest_stacks": (
        "How honest stacks lean towards alternatives, on a GPU",
        "python bench/honest_stacks.py REFERENCE cuda 64",
        "The same for prefill in batches, in batches of one, and token by token with a cache. drift: what a member at part "
        "strength would gain per token on such a host with the tolerance on; it has to be negative.",
    ),
    "live_audits": (
        "Whole audits of live hosts",
        "make bench-live-audits",
        "Probe, trials, prompts, questions and controls of llama.cpp servers with the demo model, as a user runs them, each with "
        "questions of its own. requests and tokens: what the questions took; asked: all requests; seconds beside other work.",
    ),
    "contention": (
        "Beside other programs",
        "make bench-contention",
        "One small comparison beside two programs that never wait, over the same on idle processors, from the first token to the "
        "last; before: as many threads as processors, which spin while they wait. Medians of three rounds, in alternation.",
    ),
    "harm_coverage": (
        "Harm on few large groups",
        "make bench-harm",
        "Items in groups that share a text. below: how often the true loss lies above the upper end, which clears wrongly (2.5 % "
        "promised); above: below the lower end; width: from the loss to the upper end, in points; before: Tango's interval.",
    ),
    "hosts_in_the_wild": (
        "Hosts of models that think",
        "make bench-hosts-in-the-wild",
        "llama.cpp servers of the demo model whose template opens a thought; a gateway returns reasoning as hosts do. at: "
        "requests until the verdict on a 4-bit host stood; closed: share of replies whose reasoning ended; ids: if they came.",
    ),
    "unrepeatable": (
        "Rounding that nothing repeats",
        "make bench-unrepeatable",
        "Mean KL in nat per token on texts of the core suite. own: what the rounding does; shaken: the same model against itself "
        "with its embeddings moved by one part in a million.",
    ),
    "tasks_vs_lm_eval": (
        "Multiple choice beside lm-eval",
        "make bench-tasks",
        "loop: answering alone, models loaded, lm-eval at its faster batch size; command: two lm_eval commands beside one of "
        "ours, start-up and all. Both on one thread in turn, fp32; largest_difference of a log-likelihood, in nats.",
    ),
    "task_flips": (
        "Flips and churn on real answers",
        "make bench-flips",
        "bf16 against bf16 in another batch shape with labels swapped 1,000 times, a planted loss and the planner's power, and "
        "answers of an nf4 copy that differ beside those of the honest control (exact, one-sided, by groups; Holm over tasks).",
    ),
    "tool_faults": (
        "Faults of hosts that serve tools",
        "make bench-tools",
        "All shipped cases, answered by a real llama.cpp server whose template shows the demo model how to call; hosts in front "
        "of it with one fault each, and hosts with other weights. lost and won: whole cases; f1: of who calls a tool. null: "
        "reference, control and candidate drawn from the same chances.",
    ),
    "call_syntaxes": (
        "Ways of calling tools, learned from real templates",
        "make bench-syntaxes",
        "Templates of a published corpus that show calls, of how many the syntax is learned and brings other calls back as they "
        "were, and texts without calls that are read as calls.",
    ),
    "gate_calibration": (
        "Gates at their bounds, and a checkpoint that is worse than its baseline",
        "make bench-gates",
        "Documents of the core suite drawn with replacement from real runs, the same for both sides; shares of the draws. Bounds "
        "are the population's own values. 20 % worse: nf4 weights moved towards fp4 until the mean KL is 1.2 times that of nf4, "
        "against the baseline of nf4. Frozen policies, alpha 2.5 %, one-sided.",
    ),
    "gate_held_out": (
        "Gates at their bounds on documents and copies that nothing was chosen on",
        "make bench-gates-held-out",
        "As above, on texts of Python's standard library: its modules, with a Q4_0 copy as the baseline of an nf4 copy, and "
        "modules of its packages, with an int8 copy as that of an fp4 copy. Of the second set nothing was known when the rules "
        "were chosen. The other copy: no worse than the baseline by a tenth?",
    ),
    "reports": (
        "The page in Chromium, and judging again",
        "make bench-reports RUN=RUN_OF_THE_DEMO",
        "Requests, complaints and violations of WCAG 2.2 A and AA in two themes at two widths with every part opened; the "
        "longest of nine times from an act to the next frame. Judging again: a whole process of `fidelity gate`.",
    ),
    "audit_matrix": (
        "Audits of recorded live hosts",
        "make bench-hosts bench-audits",
        "Real llama.cpp servers with the demo model, 64 tokens per reply, text and ids, a bank of six; every block is one audit "
        "and no reply is in two. found: an axis accuses within the block; named: with the right cause; median and worst: "
        "requests until then. By text alone: the prompts' layer, which names a changed template first, is not asked here.",
    ),
    "breadth": (
        "The main verb on tiny models of every family",
        "make bench-breadth",
        "Random weights as the library saves them, in bf16; honest band and ladder on. Right is: no divergence at all, WITHIN, "
        "BEYOND quantization, WITHIN, BEYOND other-model; right counts the five. What is refused is refused by name.",
    ),
    "gguf_kquants": (
        "K-quants under their own claim, and sold as more",
        "make bench-kquants",
        "Files by llama.cpp's recipe and quantizer, 16 short texts and 4 replies; ratio: KL over that of the rebuilt claim or "
        "of the honest band. SmolLM2's rows of 576 weights fit no block of 256: most of Q4_K_M is Q5_0 there and most of Q5_K_M "
        "Q5_1, and the reference lies on a 4-bit grid of its own, so that those two are not in the order of their names.",
    ),
    "evidence_speed": (
        "Speed of the e-process",
        "make bench-evidence",
        "A million tokens and 16 alternatives, folded 256 requests at a time.",
    ),
    "rescore_memory": (
        "Memory of scoring replies under a bank",
        "make bench-evidence",
        "Peak resident memory of the isolated process.",
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
    return findings() | command_line() | benchmarks() | card_schemas()


def card_schemas() -> dict[str, str]:
    """What the JSON of every card looks like."""
    return {
        f"schemas/{name}": json.dumps(schema, indent=1, ensure_ascii=False) + "\n" for name, schema in schemas().items()
    }


def main() -> None:
    """Write the pages and remove those of findings that are no more."""
    made = pages()
    for page in (HERE / "findings").glob("*.md"):
        if f"findings/{page.name}" not in made:
            page.unlink()
    for path, text in made.items():
        (HERE / path).parent.mkdir(parents=True, exist_ok=True)
        (HERE / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""What the documents say is what the code and the committed results say."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIVE = (
    "Q4_0", "wrong-template", "routed-25", "temperature-0.7", "clipped", "kv-q4_0", "injected-prompt", "other-model", "Q8_0",
)  # fmt: skip


def result(name):
    return json.loads((ROOT / "bench" / "results" / f"{name}.json").read_text())


def test_generated_pages_are_current():
    """``make docs`` would change nothing."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    made = generate.pages()
    for path, text in made.items():
        assert (ROOT / "docs" / path).read_text() == text, f"{path}: run make docs"
    assert {f"findings/{p.name}" for p in (ROOT / "docs" / "findings").glob("*.md")} <= set(made)


def test_the_numbers_of_tasks_in_the_readme_are_committed_results():
    """Speed beside lm-eval, false alarms, power, and changed answers."""
    table = (ROOT / "README.md").read_text().split("## Numbers")[1]
    loops = [row for row in result("tasks_vs_lm_eval")["rows"] if row["what"].startswith("loop")]
    flips = {row["what"]: row for row in result("task_flips")["rows"]}
    ratios = [", ".join(f"{row['ratio']:.2f}" for row in loops if row["what"] == f"loop, {kind}")
              for kind in ("several tokens", "one token")]  # fmt: skip
    alarms = [flips[name] for name in ("null, pooled", "null, per task with Holm")]
    planted = next(row for name, row in flips.items() if name.startswith("planted"))
    churn = [next(row for name, row in flips.items() if f"fidelity_{task} " in name) for task in ("choices", "reading")]
    expected = [
        "; ".join(ratios),
        f"{max(row['largest_difference'] for row in loops):.1e}; {sum(row['answers_that_differ'] for row in loops)} |",
        "; ".join(f"{row['found']} in {row['of']:,}" for row in alarms),
        f"{planted['found'] / planted['of']:.1%}; {planted['stated']:.1%}",
        "; ".join(f"{row['found']} of {row['of']}, {row['stated']}" for row in churn),
    ]
    for text in expected:
        assert text in table, text


def test_the_numbers_of_gates_and_pages_in_the_readme_are_committed_results():
    """Failures at the bound, a worse checkpoint found, bits of builds, the page and judging again."""
    table = (ROOT / "README.md").read_text().split("## Numbers")[1]
    rows = {(row["what"], row["documents"]): row for row in result("gate_calibration")["rows"]}
    several = {"six at their bounds", "20 % worse", "the same weights"}
    single = [row["failed"] for (what, _), row in rows.items() if what not in several]
    six = [rows["six at their bounds", documents]["failed"] for documents in (44, 104)]
    worse, same = (rows[what, 104]["failed"] for what in ("20 % worse", "the same weights"))
    pages, again = result("reports")["rows"], result("reports")["facts"]["judged again, 5 candidates"]
    seconds = [row[f"{act}_seconds"] for row in pages for act in ("search", "sort", "filter", "scroll")]
    held_out = [row for row in result("gate_held_out")["rows"] if row["set"] == "packages"]
    theirs = [row["failed"] for row in held_out if row["what"] not in {*several, "the other copy"}]
    together = [row["failed"] for row in held_out if row["what"] == "six at their bounds"]
    expected = [
        f"| {max(single):.1%} of {rows['ear', 44]['draws']:,}; {max(six):.1%} |",
        f"nothing was chosen | {max(theirs):.1%} of {held_out[0]['draws']:,}; {max(together):.1%} |",
        f"| {worse:.1%}; {rows['20 % worse', 44]['failed']:.1%}; {same:.1%} |",
        f"| {max(row['bytes'] for row in pages) / 1e6:.2f} MB; {max(seconds):.2f} s; {sum(row['requests'] for row in pages)}; "
        f"{sum(row['violations'] for row in pages)} |",
        "| "
        + "; ".join(
            f"{again[start + 'cpu_seconds_least']:.2f} s, {again[start + 'cpu_seconds_median']:.2f} s"
            for start in ("", "imports_alone_")
        )
        + " |",
    ]
    for text in expected:
        assert text in table, text
    assert not again["torch_imported"]


def test_the_numbers_of_tools_in_the_readme_are_committed_results():
    """Faults found, false accusations, and templates whose calls can be read."""
    table = (ROOT / "README.md").read_text().split("## Numbers")[1]
    faults, syntaxes = result("tool_faults"), {row["what"]: row["count"] for row in result("call_syntaxes")["rows"]}
    hosts = {row["host"]: row for row in faults["rows"]}
    broken = [row for name, row in hosts.items() if name not in {"honest", "the same in 4 bits", "a sibling's weights"}]
    expected = [
        f"{sum(row['verdict'] in {'BEYOND', 'NOT_TESTABLE'} for row in broken)} of {len(broken)}; {hosts['honest']['verdict']}",
        f"{faults['facts']['null_accused']} in {faults['facts']['null_draws']:,}",
        f"{syntaxes['learned']} of {syntaxes['show calls']}; {syntaxes['texts read as calls']}",
    ]
    for text in expected:
        assert text in table, text


def test_the_numbers_of_the_readme_are_committed_results():
    """Each measured number in the README's table is the one in bench/results, rounded as printed there."""
    readme = (ROOT / "README.md").read_text()
    table = readme[readme.index("## Numbers") :]
    throughput, anchor = result("logit_throughput"), result("llamacpp_anchor")
    ratios, q8 = throughput["facts"]["ratios"], next(r for r in anchor["rows"] if r["change"] == "ggufq:Q8_0")
    caches = throughput["facts"]["reference_cache"]
    sketch = result("sketch_error")["rows"]
    corpus, naming = result("template_corpus")["facts"], result("fault_naming")["facts"]
    live, vocabularies = result("live_prompts")["facts"], result("gguf_tokenizers")["facts"]
    found = {row["server"]: row for row in result("tokens_to_detection")["rows"]}
    best = [
        min(r["times_half"] for r in result("evidence_peers")["rows"] if (r["server"], r["access"]) == (server, "text"))
        for server in ("int8", "fp8", "nf4")
    ]
    honest = [row for row in result("evidence_calibration")["rows"] if "held out" not in row["host"]]
    audits = {(row["host"], row["access"]): row for row in result("audit_matrix")["rows"]}
    live_rows = result("live_audits")["rows"]
    client = {row["listed"]: row for row in result("client_overhead")["rows"]}
    routed = next(row for row in result("evidence_routing")["rows"] if row["host"] == "nf4 on 10%")
    expected = [
        "; ".join(f"{found[s]['bank_median']:.2f}, {found[s]['bank_p95']:.2f}" for s in ("int8", "fp8", "nf4")),
        "; ".join(f"{times:.0f}" for times in best) + " times",
        f"| {sum(row['weights_0.01'] for row in honest)} of {sum(row['runs'] for row in honest):,} |",
        f"| {min(row['cause'] for row in result('evidence_attribution')['rows']):.1%} |",
        f"| {routed['found_in_50']:.1%} |",
        *("| " + "; ".join(f"{audits[name, access]['named']} of {audits[name, access]['blocks']}, "
                           f"{audits[name, access]['worst']:.0f}" for name in names) + " |"
          for access, names in (("L3", ("Q4_0", "wrong-template", "temperature-0.7", "clipped", "kv-q4_0")),
                                ("L3", ("Q8_0",)), ("L1", ("other-model", "kv-q4_0", "Q8_0")))),
        f"| {audits['injected-prompt', 'L1']['worst']:.0f} |",
        "| " + "; ".join(f"{sum(row['right'] for row in live_rows if row['host'] == name)} of "
                         f"{sum(row['host'] == name for row in live_rows)}"
                         for name in LIVE) + " |",
        "| " + "; ".join(f"{sum(row['verdict'] == 'BEYOND' for row in live_rows if row['host'] == name)} of "
                         f"{sum(row['host'] == name for row in live_rows)}"
                         for name in ("honest", "honest-bf16")) + " |",
        "| " + "; ".join(f"{audits[name, access]['found']} in {audits[name, access]['blocks'] * audits[name, access]['requests']}"
                         for name in ("honest", "honest-bf16") for access in ("L3", "L1")) + " |",
        f"| {client[0]['ratio']:.2f}; {max(row['grown_mb'] for row in client.values()):.1f} MB |",
        f"| {result('honest_stacks')['facts']['largest_upper_below_0.05_nat']:.1%} |",
        f"| {max(row['seconds'] for row in result('evidence_speed')['rows']):.2f} s |",
        f"KL {q8['kl']:.6f}", f"perplexity {q8['ppl_reference']:.4f}", f"{q8['same_top']:.1%}",
        f"| {ratios['b / (a + r)']:.2f} |", f"| {ratios['c / 2a']:.2f} |",
        f"| {ratios['scored tokens per second, b over d']:.2f} |", f"| {throughput['facts']['growth_mb_1k_to_16k']:.0f} MB |",
        f"{max(abs(row['kl_bias']) for row in sketch):.2%}",
        f"{caches['49,152 ids, fp32']['sketch_bytes_per_token']:,.0f}",
        f"{caches['49,152 ids, fp32']['hidden_bytes_per_token']:,.0f}",
        f"{max(row['largest_difference_in_ulp'] for row in result('gptq_reader')['rows']):.2f}",
        f"{min(row['t on log mean'] for row in result('interval_coverage')['rows']):.1%}",
        f"| {corpus['renderings_that_transformers_makes_otherwise']} |",
        f"{naming['files_tier_named_alone_or_in_a_tie_of_3']:.1%} of {naming['pairs']:,}",
        f"| {naming['count_visible_with_the_probes']:.1%}; {naming['count_tier_named_alone_or_in_a_tie_of_3']:.1%} |",
        f"| {live['false_findings']}; {live['replaced_and_caught']}; {live['requests_by_counts_at_most']} |",
        f"| {vocabularies['texts_with_other_ids']} of {vocabularies['texts']} |",
    ]  # fmt: skip
    for text in expected:
        assert text in table, text


@pytest.mark.parametrize(
    "page", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md")), ids=lambda p: p.name
)
def test_links_between_pages_lead_somewhere(page):
    """Every relative link of every document names a file that exists."""
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target

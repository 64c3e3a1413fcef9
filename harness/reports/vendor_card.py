"""Vendors' scorecards recomputed: the one JSON, and what the terminal shows of it."""

from __future__ import annotations

import math

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.comparisons.model import Result
from harness.comparisons.vendor_scores import ModelFacts, VendorFacts
from harness.redact import safe_line

VENDOR_CARD_VERSION = 1
_MEETS = {"yes": "met", "no": "missed", "undecided": "undecided", "": "-"}


class VendorCard(Result):
    """What the files came to, and where they were read from."""

    vendor_card_version: int = VENDOR_CARD_VERSION
    fidelity_version: str
    files: tuple[str, ...]
    facts: VendorFacts


def print_vendor_card(card: VendorCard, console: Console) -> None:
    """Print a card: a table per model, then what the metrics can show."""
    for model in card.facts.models:
        passes = "one pass" if model.loops == 1 else f"{model.loops} passes"
        console.print(Text(f"\n{safe_line(model.model or 'unnamed')} ({model.form}): {passes}", style="bold"))
        console.print(_rates(model))
        for note in model.notes:
            console.print(Text(f"  {note}", style="yellow"))
        if model.calls:
            spread = f" (sd {model.calls_sd:.1f})" if math.isfinite(model.calls_sd) else ""
            console.print(Text(f"  tool calls per pass: {model.calls_mean:.1f}{spread}"))
        finishes = ", ".join(f"{safe_line(name, 30)} {count}" for name, count in model.finishes.items() if count)
        console.print(Text(f"  ends of answers: {finishes or '-'}", style="dim"))
        if model.reasoning:
            fields = ", ".join(f"{safe_line(name, 30)} {count}" for name, count in model.reasoning.items())
            console.print(Text(f"  reasoning is in: {fields}", style="dim"))
    if card.facts.vacuous:
        console.print(Text("\nmetrics that say nothing on these passes", style="bold"))
        for one in card.facts.vacuous:
            console.print(Text(f"  {one.metric}: {one.reason}"))
    if card.facts.similarities:
        console.print(
            Text("\ntrigger similarity between models (MiniMax asks for 98 % to its own passes)", style="bold")
        )
        for pair in card.facts.similarities:
            how = f"{100 * pair.low:.2f}" + (f" to {100 * pair.high:.2f} %" if pair.high > pair.low else " %")
            blind = ": meets it" if pair.passes else ""
            console.print(Text(f"  {safe_line(pair.first)} and {safe_line(pair.second)}: {how}{blind}"))
    if card.facts.separations:
        console.print(Text("\nwhat tells them apart (exact exchange of passes, Holm over all rows)", style="bold"))
        console.print(_separations(card.facts))
    console.print(
        Text(
            "\nPasses repeat the same prompts: intervals hold for these prompts asked again. Models were recorded at different "
            "times: what tells recordings apart may be more than weights.",
            style="dim",
        )
    )


def _rates(model: ModelFacts) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("  metric", "mean of passes", "counts", "95 % interval", "ceiling", "asked for", ""):
        table.add_column(name, justify="left" if name in {"  metric", ""} else "right")
    for rate in model.rates:
        asked = "-" if math.isnan(rate.threshold) else f"{100 * rate.threshold:g} %"
        table.add_row(
            Text(f"  {rate.metric}"), f"{100 * rate.mean:.2f} %" if rate.of else "-", f"{rate.right:,}/{rate.of:,}",
            f"{100 * rate.low:.2f} to {100 * rate.high:.2f}" if rate.of else "-",
            f"{100 * rate.ceiling:g} %" if rate.of and rate.ceiling < 1 else "", asked, _MEETS[rate.meets],
        )  # fmt: skip
    return table


def _separations(facts: VendorFacts) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("  statistic", "models", "means", "p", "adjusted"):
        table.add_column(name, justify="left" if name in {"  statistic", "models"} else "right")
    for one in sorted(facts.separations, key=lambda row: row.p):
        means = (f"{one.first_mean:.4g}", f"{one.second_mean:.4g}")
        table.add_row(
            f"  {one.statistic}", Text(f"{safe_line(one.first, 30)}, {safe_line(one.second, 30)}"), ", ".join(means),
            f"{one.p:.2g}" + ("" if one.exact else " (drawn)"), f"{one.adjusted:.2g}",
        )  # fmt: skip
    return table

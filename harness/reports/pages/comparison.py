"""The page of a comparison: the verdict in plain words first, then every number behind it, then every token."""

from __future__ import annotations

import math
from collections.abc import Callable

from markupsafe import Markup

from harness.comparisons.distributions.worst import WorstItem
from harness.identity import digest_json
from harness.numbers import interval, percent_level, valued
from harness.reports.gate_table import policy_note
from harness.reports.pages.frame import data_block, page
from harness.reports.pages.plain_words import everyday, head, parted, void
from harness.reports.pages.plots import histogram_plot, ladder_plot, slice_plot
from harness.reports.pages.strip import strip_plot
from harness.reports.pages.token_data import MOST_ROWS, kept_rows, token_data
from harness.reports.ranking import ranking_rows
from harness.reports.scorecard import CandidateCard, Scorecard
from harness.reports.tokens import Tokens
from harness.targets.base import ModelIdentity
from harness.verdicts.catalogue import entry
from harness.verdicts.gates.telling import gate_interval, gate_value
from harness.verdicts.model import Outcome

_MOST_ITEMS = 30  # over all candidates; the table of tokens has the rest
_MOST_BYTES = 1_000_000
#: Rows of tokens, and candidates with figures and excerpts: the first pair that keeps the page small enough, or the last.
_LEVELS = ((MOST_ROWS, 1_000_000), (10_000, 10), (4_000, 3), (1_000, 0))
_SLICE_AXES = ("segment", "domain", "position", "reference confidence")


def render_html(scorecard: Scorecard, tokens: Tokens | None = None) -> str:
    """The page as text, under 1 MB for up to about sixty candidates: with many, rows and figures become fewer, and it says so."""
    for rows, detailed in _LEVELS:
        made = _page(scorecard, tokens, rows, detailed)
        if len(made.encode()) < _MOST_BYTES:
            break
    return made


def _page(scorecard: Scorecard, tokens: Tokens | None, rows: int, detailed: int) -> str:
    data = token_data(tokens, rows) if tokens and tokens.sheets else None
    order = sorted(scorecard.candidates, key=_moved, reverse=True)
    return page(
        "comparison.html.j2",
        *(("tokens.js",) if data else ()),
        card=scorecard,
        blocks=[_block(scorecard, one, brief=order.index(one) >= detailed) for one in scorecard.candidates],
        strip=Markup(strip_plot(scorecard)),  # noqa: S704 - numbers and escapes
        tokens=data_block(data) if data else "",
        kept=kept_rows(tokens, rows) if tokens else 0,
        of=sum(len(sheet.table.rows) for sheet in tokens.sheets) if tokens else 0,
        valued=valued,
        interval=interval,
        entry=entry,
        ranked=ranking_rows(scorecard.ranking) if scorecard.ranking else [],
        gate_value=gate_value,
        gate_interval=gate_interval,
        policy_note=policy_note,
        parted=parted,
        level=lambda reading: percent_level(1 - 2 * reading.policy.alpha),
    )


def _moved(card: CandidateCard) -> tuple[bool, float]:
    """By how much the page should show of a candidate: what is beyond comes first, then what moved most."""
    kl = card.evidence.check("kl_ref_cand")
    return card.verdict.outcome is Outcome.BEYOND, kl.value if kl and kl.value == kl.value else math.inf


def _block(scorecard: Scorecard, card: CandidateCard, *, brief: bool) -> dict[str, object]:
    evidence = card.evidence
    floor = max((member.value for member in evidence.honest), default=0.0)
    piece, most = _pieces(scorecard), max(2, _MOST_ITEMS // len(scorecard.candidates))
    return {
        "card": card,
        "head": head(card),
        "everyday": everyday(card),
        "void": void(card),
        "anchor": f"candidate-{scorecard.candidates.index(card) + 1}",
        "brief": brief,
        "ladder": Markup(ladder_plot(evidence.ladder)) if evidence.ladder else "",  # noqa: S704 - numbers and escapes
        "histogram": "" if brief else Markup(histogram_plot(evidence)),  # noqa: S704
        "slices": [
            (axis, Markup(slice_plot([s for s in evidence.slices if s.axis == axis], floor)))  # noqa: S704
            for axis in _SLICE_AXES
            if not brief and any(s.axis == axis for s in evidence.slices)
        ],
        "worst": [_worst(item, piece) for item in evidence.worst[: 0 if brief else most]],
        "identity": _identity_rows(scorecard.reference, card.identity),
    }


def _worst(item: WorstItem, piece: Callable[[int], str]) -> dict[str, object]:
    """An excerpt with both sides' first choices; ``first`` is the place where they part, -1 if they do not."""
    tokens = [
        {
            "piece": piece(token.label),
            "first_ref": piece(token.top1_ref),
            "first_cand": piece(token.top1_cand),
            "view": token,
            "heat": _heat(token.kl),
        }
        for token in item.excerpt
    ]
    first = next((index for index, token in enumerate(item.excerpt) if not token.agree), -1)
    return {"item": item, "tokens": tokens, "first": first}


def _pieces(scorecard: Scorecard) -> Callable[[int], str]:
    return Tokens(pieces=scorecard.pieces).piece


def _heat(kl: float) -> int:
    """0 to 5, by half decades from 0.01 nat."""
    return sum(kl >= edge for edge in (0.01, 0.05, 0.2, 0.8, 3.0))


def _identity_rows(reference: ModelIdentity, candidate: ModelIdentity) -> list[tuple[str, str, str]]:
    def facts(identity: ModelIdentity) -> dict[str, str]:
        return {
            "folder": identity.folder,
            "specification": identity.spec,
            "architecture": identity.architecture or "(not given)",
            "parameters": f"{identity.parameters:,}",
            "stored as": identity.dtype,
            "weights": _weights(identity),
            "quantization": ", ".join(f"{k}={v}" for k, v in sorted(identity.quantization.items())) or "none declared",
            "tokenizer": identity.tokenizer_sha256[:12] or "(not given)",
            "chat template": identity.template_sha256[:12] or "(none)",
            "stop ids": ", ".join(map(str, identity.stop_ids)) or "(none)",
            "licence": f"{identity.licence.name or 'not declared'}: {identity.licence.note}",
            "missing files": ", ".join(identity.missing) or "none",
        }

    ours, theirs = facts(reference), facts(candidate)
    return [(name, ours[name], theirs[name]) for name in ours]


def _weights(identity: ModelIdentity) -> str:
    digests = [file.sha256 for file in identity.weights]
    if len(digests) <= 3:
        return ", ".join(digest[:12] for digest in digests)
    return f"{len(digests)} files, together {digest_json(list(digests))[:12]}"

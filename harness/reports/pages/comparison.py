"""One self-contained HTML page: no script, no network, everything escaped, figures as inline SVG."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness.numbers import interval, number, percent_level, share, valued
from harness.redact import safe_line, safe_text
from harness.reports.gate_table import policy_note
from harness.reports.plots import histogram_plot, ladder_plot, slice_plot
from harness.reports.ranking import ranking_rows
from harness.reports.scorecard import CandidateCard, Scorecard
from harness.targets.base import ModelIdentity
from harness.verdicts.catalogue import entry
from harness.verdicts.gates.telling import gate_interval, gate_value

_MOST_ITEMS = 30  # over all candidates; the scorecard has the rest
_SLICE_AXES = ("segment", "domain", "position", "reference confidence")


def page(name: str, **values: object) -> str:
    """A template of this package, filled in; everything is escaped, and the page may load and run nothing."""
    folder = resources.files("harness.reports") / "templates"
    environment = Environment(
        loader=FileSystemLoader(str(folder)), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    style = (folder / "report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment.filters.update(number=number, share=share, line=safe_line, text=safe_text)
    return environment.get_template(name).render(
        style=Markup(style),  # noqa: S704 - our own file
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        **values,
    )


def render_html(scorecard: Scorecard) -> str:
    """The page as text; under 1 MB for any run, because excerpts and slices are bounded."""
    return page(
        "report.html.j2",
        card=scorecard,
        blocks=[_block(scorecard, candidate) for candidate in scorecard.candidates],
        valued=valued,
        interval=interval,
        entry=entry,
        ranked=ranking_rows(scorecard.ranking) if scorecard.ranking else [],
        gate_value=gate_value,
        gate_interval=gate_interval,
        policy_note=policy_note,
        level=lambda reading: percent_level(1 - 2 * reading.policy.alpha),
    )


def _block(scorecard: Scorecard, card: CandidateCard) -> dict[str, object]:
    evidence = card.evidence
    floor = max((member.value for member in evidence.honest), default=0.0)
    return {
        "card": card,
        "anchor": f"candidate-{scorecard.candidates.index(card) + 1}",
        "ladder": Markup(ladder_plot(evidence.ladder)) if evidence.ladder else "",  # noqa: S704 - numbers and escapes
        "histogram": Markup(histogram_plot(evidence)),  # noqa: S704
        "slices": [
            (axis, Markup(slice_plot([s for s in evidence.slices if s.axis == axis], floor)))  # noqa: S704
            for axis in _SLICE_AXES
            if any(s.axis == axis for s in evidence.slices)
        ],
        "worst": [
            {
                "item": item,
                "tokens": [
                    {
                        "piece": _piece(scorecard, token.label) if token.label >= 0 else "(end)",
                        "first_ref": _piece(scorecard, token.top1_ref),
                        "first_cand": _piece(scorecard, token.top1_cand),
                        "view": token,
                        "heat": _heat(token.kl),
                    }
                    for token in item.excerpt
                ],
            }
            for item in evidence.worst[: max(2, _MOST_ITEMS // len(scorecard.candidates))]
        ],
        "identity": _identity_rows(scorecard.reference, card.identity),
    }


def _piece(scorecard: Scorecard, token: int) -> str:
    return safe_line(scorecard.pieces.get(str(token), f"id {token}"), 24)


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
            "weights": ", ".join(f"{file.sha256[:12]}" for file in identity.weights[:4]),
            "quantization": ", ".join(f"{k}={v}" for k, v in sorted(identity.quantization.items()))[:200]
            or "none declared",
            "tokenizer": identity.tokenizer_sha256[:12] or "(not given)",
            "chat template": identity.template_sha256[:12] or "(none)",
            "stop ids": ", ".join(map(str, identity.stop_ids)) or "(none)",
            "licence": f"{identity.licence.name or 'not declared'}: {identity.licence.note}",
            "missing files": ", ".join(identity.missing) or "none",
        }

    ours, theirs = facts(reference), facts(candidate)
    return [(name, ours[name], theirs[name]) for name in ours]

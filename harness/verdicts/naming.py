"""Settings of samplers in few words: neighbouring temperatures as a range, cut-offs of one kind side by side."""

from __future__ import annotations

from collections.abc import Sequence

_KINDS = ("temperature", "top_p", "top_k", "min_p")


def in_few_words(names: Sequence[str], every: Sequence[str]) -> str:
    """Names like ``temperature 1.10`` and ``top_k 20``, shortened; ``every`` holds all that were looked at.

    A range holds no value of ``every`` that is not named. Other names stay as they are; "" for none.
    """
    parts = []
    for kind in _KINDS:
        looked = sorted({_value(name) for name in every if _kind(name) == kind})
        told = {_value(name) for name in names if _kind(name) == kind}
        spans: list[list[float]] = []
        for before, value in zip([None, *looked], looked, strict=False):
            if value in told:
                if spans and spans[-1][-1] == before and kind == "temperature":
                    spans[-1].append(value)
                else:
                    spans.append([value])
        shown = [f"{span[0]:g}" if len(span) == 1 else f"{span[0]:g} to {span[-1]:g}" for span in spans]
        if shown:
            parts.append(f"{kind} {', '.join(shown[:-1])}{' and ' if len(shown) > 1 else ''}{shown[-1]}")
    return "; ".join([*parts, *(name for name in names if not _kind(name))])


def _kind(name: str) -> str:
    kind, _, value = name.partition(" ")
    return kind if kind in _KINDS and value.replace(".", "", 1).isdigit() else ""


def _value(name: str) -> float:
    return float(name.partition(" ")[2])

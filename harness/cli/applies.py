"""Options of ``fidelity compare`` that say nothing of what is compared, files, endpoints or a log, are refused."""

from __future__ import annotations

from typing import Literal

import click
from click.core import ParameterSource

Kind = Literal["files", "endpoints", "a log of replies"]

_FILES = {
    "claims", "importance", "suite", "window", "profile", "gates", "baseline", "dtype", "batch", "band", "ladder",
    "reference_cache",
}  # fmt: skip
_TEXTS = {"bank", "alpha", "sampler", "controls"}
_ASKING = {
    "requests", "checks", "texts", "budget", "price", "concurrency", "per_minute", "key", "honest", "honest_key", "protocol",
    "stream", "extra_body", "headers", "query",
}  # fmt: skip
_BELONG: dict[str, set[str]] = {
    "files": _FILES,
    "endpoints": _TEXTS | _ASKING,
    "a log of replies": _TEXTS,
}
_WHY = {
    "claims": "a host is held against the reference as it is published",
    "gates": "a host is judged by what its text rules out, not by bounds on a divergence",
    "baseline": "a host is judged by what its text rules out, not by an earlier result",
}


def refuse_unused(context: click.Context, kind: Kind) -> None:
    """Raise UsageError for an option that was given and says nothing of what is compared."""
    options = {param.name: param for param in context.command.params if isinstance(param, click.Option)}
    for name in sorted((_FILES | _TEXTS | _ASKING) - _BELONG[kind]):
        if context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        given = next(iter(sorted(options[name].opts, key=len, reverse=True)))
        theirs = " and ".join(one for one, names in _BELONG.items() if name in names)
        why = _WHY.get(name, f"it says something of {theirs} alone")
        raise click.UsageError(f"{given} does not apply to {kind}: {why}")

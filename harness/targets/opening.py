"""From a specification to an open target; Hub names are downloaded first (weights and text files only)."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from harness.errors import MissingExtra, TargetNotFound
from harness.redact import safe_line
from harness.targets.checkpoint.target import CheckpointTarget, Workers
from harness.targets.spec import TargetSpec

_HUB_NAME = re.compile(r"^[\w.\-]+/[\w.\-]+(@[\w.\-]+)?$")
_FETCHED = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "README.md", "LICENSE*", "NOTICE*"]


def open_target(spec: TargetSpec, workers: Workers, cache: Path) -> CheckpointTarget:
    """Read a target's files; nothing is loaded yet. Raises a TargetRefused that says what is wrong with it."""
    if not Path(spec.base).exists() and _HUB_NAME.match(spec.base):
        spec = replace(spec, base=_download(spec.base), alias=spec.base)
    return CheckpointTarget(spec, workers, cache)


def _download(name: str) -> str:
    try:
        from huggingface_hub import snapshot_download  # noqa: PLC0415
        from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtra(
            "fetching a model by name needs the Hub client", fix="pip install 'fidelity-harness[local]'"
        ) from error
    repository, _, revision = name.partition("@")
    try:
        return str(snapshot_download(repository, revision=revision or None, allow_patterns=_FETCHED))
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise TargetNotFound(
            f"there is no folder of this name, and the Hub did not deliver it: {safe_line(str(error), 160)}",
            where=name,
            fix="check the path; for a Hub model check the name, the network and your access",
        ) from error

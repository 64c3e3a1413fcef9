"""What every page has in common: one template engine that escapes everything, one style, and a policy that loads nothing."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib import resources

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness.numbers import number, share
from harness.redact import safe_line, safe_text

_TEMPLATES = resources.files("harness.reports.pages") / "templates"


def page(name: str, *scripts: str, **values: object) -> str:
    """A template of this package, filled in. The page may fetch nothing, and run only the ``scripts`` of ours it names.

    Style and scripts are allowed by their digests, so that nothing else on the page can style or run, whatever a model
    or a host wrote.
    """
    style = _own("page.css")
    codes = [_own(script) for script in scripts]
    allowed = f"script-src {' '.join(map(_digest, codes))}; " if codes else ""
    return (
        _environment()
        .get_template(name)
        .render(
            style=Markup(style),  # noqa: S704 - our own file
            scripts=[Markup(code) for code in codes],  # noqa: S704 - our own files
            policy=f"default-src 'none'; {allowed}style-src {_digest(style)}; base-uri 'none'; form-action 'none'",
            **values,
        )
    )


def data_block(value: object) -> Markup:
    """JSON for a ``<script type="application/json">``: no character in it can end the block or begin another."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))  # noqa: S704 - escaped


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(str(_TEMPLATES)), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(number=number, share=share, line=safe_line, text=safe_text)
    return environment


@cache
def _own(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

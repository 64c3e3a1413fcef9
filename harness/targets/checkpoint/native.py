"""Which architectures the installed transformers library knows by itself, read from its tables without importing it."""

from __future__ import annotations

import ast
import importlib.util
from functools import lru_cache
from pathlib import Path

_TABLES = ("auto_mappings.py", "configuration_auto.py")


def is_native(model_type: str) -> bool:
    """Whether the library has a configuration of this ``model_type``; false where the library is not installed."""
    return bool(model_type) and model_type in _model_types()


@lru_cache(maxsize=1)
def _model_types() -> frozenset[str]:
    """Every key of the library's tables of configurations: pairs of strings, and keys of dicts of strings."""
    try:
        spec = importlib.util.find_spec("transformers")
    except (ImportError, ValueError):
        spec = None
    found: set[str] = set()
    for root in (spec.submodule_search_locations if spec else None) or ():
        for name in _TABLES:
            file = Path(root) / "models" / "auto" / name
            if file.is_file():
                found |= _keys(file.read_text(encoding="utf-8"))
    return frozenset(found)


def _keys(source: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        pairs: list[tuple[ast.expr | None, ast.expr]] = []
        if isinstance(node, ast.Tuple) and len(node.elts) == 2:
            pairs = [(node.elts[0], node.elts[1])]
        elif isinstance(node, ast.Dict):
            pairs = list(zip(node.keys, node.values, strict=True))
        for key, value in pairs:
            if (
                isinstance(key, ast.Constant)
                and isinstance(value, ast.Constant)
                and str(value.value).endswith("Config")
            ):
                found.add(str(key.value))
    return found

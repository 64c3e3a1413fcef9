"""What a template does, without how it is written: nodes as digests, so that two templates can be held against each other.

Comments, indentation that leaves no trace, ways of quoting, ``a['b']`` for ``a.b``, ``elif`` for a nested ``if`` and the marks
of trainers (``{% generation %}``) make no difference. Runs in the child only.
"""

from __future__ import annotations

import hashlib
from typing import Any

from jinja2 import nodes

#: Attributes that a value may have as a method: here ``a.b`` and ``a['b']`` are two things.
_METHODS = {name for kind in (dict, list, str) for name in dir(kind)}


class Signatures:
    """Digests of nodes by what they do; equal digests, equal effect in an equal place. ``names`` renames variables."""

    def __init__(self, names: dict[str, str] | None = None) -> None:
        self._names = names or {}
        self._known: dict[int, tuple[Any, str]] = {}

    def of(self, node: Any) -> str:
        """The digest of a node, a list of nodes or a plain value."""
        if isinstance(node, list):
            return digest(self._statements(node))
        if not isinstance(node, nodes.Node):
            return digest(["value", repr(node)])
        known = self._known.get(id(node))
        if known is None:
            known = self._known[id(node)] = (
                node,
                digest(self._parts(node)),
            )  # the node is kept, so its id stays its own
        return known[1]

    def _statements(self, body: list[Any]) -> list[Any]:
        """Statements, with texts and outputs that follow each other joined."""
        found: list[Any] = []
        pieces: list[Any] = []
        for node in _flat(body):
            if isinstance(node, nodes.Output):
                for child in node.nodes:
                    self._piece(child, pieces)
                continue
            if pieces:
                found.append(["output", pieces])
                pieces = []
            found.append(self.of(node))
        return [*found, ["output", pieces]] if pieces else found

    def _piece(self, node: Any, out: list[Any]) -> None:
        if isinstance(node, nodes.Concat):
            for child in node.nodes:
                self._piece(child, out)
            return
        if isinstance(node, nodes.Add) and any(_is_text(side) for side in (node.left, node.right)):
            self._piece(node.left, out)
            self._piece(node.right, out)
            return
        if _is_text(node):
            text = node.data if isinstance(node, nodes.TemplateData) else node.value
            if out and out[-1][0] == "text":
                out[-1] = ["text", out[-1][1] + text]
            elif text:
                out.append(["text", text])
            return
        out.append(["value", self.of(node)])

    def _parts(self, node: Any) -> list[Any]:
        if isinstance(node, nodes.If):
            return ["if", self.of(node.test), self.of(node.body), self.of(otherwise(node))]
        if isinstance(node, nodes.Getattr) or (isinstance(node, nodes.Getitem) and _is_text(node.arg)):
            name = node.attr if isinstance(node, nodes.Getattr) else getattr(node.arg, "value", "")
            kind = "item" if isinstance(node, nodes.Getitem) and name in _METHODS else "attribute"
            return [kind, self.of(node.node), name]
        if isinstance(node, nodes.Name):
            return ["name", self._names.get(node.name, node.name)]
        fields = [(name, value) for name, value in node.iter_fields() if name not in {"ctx"}]
        return [type(node).__name__, *[[name, self._field(node, name, value)] for name, value in fields]]

    def _field(self, node: Any, name: str, value: Any) -> Any:
        if isinstance(value, list) and not (name in {"body", "else_"} or isinstance(node, nodes.Template)):
            return [self.of(item) for item in value]
        if isinstance(node, nodes.Macro | nodes.NSRef) and isinstance(value, str):
            return self._names.get(value, value)
        return self.of(value)


def otherwise(node: nodes.If) -> list[Any]:
    """What stands in an ``else``; the rest of a chain of ``elif`` as one ``if``."""
    if not node.elif_:
        return list(node.else_)
    first, *rest = node.elif_
    return [nodes.If(first.test, first.body, rest, node.else_).set_lineno(first.lineno)]


def same_program(ours: nodes.Template, theirs: nodes.Template) -> bool:
    """Whether two templates do the same, whatever their variables are called."""
    return Signatures(_numbered(ours)).of(ours.body) == Signatures(_numbered(theirs)).of(theirs.body)


def _numbered(tree: nodes.Template) -> dict[str, str]:
    """The names that a template itself gives, numbered in the order in which they come."""
    found: dict[str, str] = {}
    for node in _walk(tree):
        if (isinstance(node, nodes.Name) and node.ctx in {"store", "param"}) or isinstance(node, nodes.Macro):
            found.setdefault(node.name, f"#{len(found)}")
    return found


def _walk(node: nodes.Node) -> Any:
    for child in node.iter_child_nodes():
        yield child
        yield from _walk(child)


def _flat(body: list[Any]) -> list[Any]:
    """Statements with the bodies of ``{% generation %}`` in its place."""
    found: list[Any] = []
    for node in body:
        if is_generation(node):
            found += _flat(node.body)
        else:
            found.append(node)
    return found


def is_generation(node: Any) -> bool:
    """Whether a statement only marks what the assistant writes."""
    return isinstance(node, nodes.CallBlock) and isinstance(node.call.node, nodes.ExtensionAttribute)


def _is_text(node: Any) -> bool:
    return isinstance(node, nodes.TemplateData) or (isinstance(node, nodes.Const) and isinstance(node.value, str))


def digest(parts: Any) -> str:
    """A short digest of nested lists of texts."""
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()[:24]

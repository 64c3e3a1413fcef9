"""A template that tells which of its decisions went which way; runs in the child only.

A decision is everything by which what stands in a conversation changes what stands in the prompt otherwise than by being
copied: conditions and their parts, inline ``a if b else c``, loops, tests and comparisons used as values, filters and methods
that rewrite or select, choices by an index. Each needs certain outcomes to be seen before it can be vouched for. What is
not known here needs an outcome that never comes.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

from jinja2 import nodes

from harness.prompts.conversation import Conversation
from harness.prompts.jinja.decisions import OUTCOMES, SELECTING, Decision, Seen, size_of
from harness.prompts.jinja.environment import Template
from harness.prompts.jinja.program import Signatures, digest, is_generation, otherwise

_SHOWN = 160
_MAX_TEXT = 4 << 20
_FORMATS = 8
_REMEMBERED = 24  # observations of one decision
#: Variables that every renderer passes.
PASSED = {"messages", "tools", "documents", "add_generation_prompt", "bos_token", "eos_token", "unk_token", "pad_token"}
#: What a function, a filter or a method does to its input: "copies" says that all of the input shows in the result, "acts" that a
#: change has to be seen, "either" that there are two outcomes, "finds" that the result has to be seen to vary.
_FUNCTIONS = {"raise_exception", "strftime_now", "namespace", "range", "dict", "loop", "caller"}
_FILTERS = (
    dict.fromkeys(
        [
            "tojson",
            "string",
            "length",
            "count",
            "int",
            "float",
            "list",
            "join",
            "safe",
            "e",
            "escape",
            "forceescape",
            "first",
            "last",
            "dictsort",
            "items",
            "pprint",
            "sum",
            "min",
            "max",
            "abs",
            "round",
            "indent",
            "reverse",
            "sort",
            "attr",
            "groupby",
            "wordcount",
            "urlencode",
        ],
        "copies",
    )
    | dict.fromkeys(
        ["trim", "replace", "lower", "upper", "capitalize", "title", "truncate", "wordwrap", "striptags", "unique"],
        "acts",
    )
    | dict.fromkeys(["default", "d", "select", "reject", "selectattr", "rejectattr"], "either")
)
_CALLS = (
    dict.fromkeys(["items", "keys", "values", "join", "copy", "append"], "copies")
    | dict.fromkeys(
        [
            "strip",
            "lstrip",
            "rstrip",
            "replace",
            "upper",
            "lower",
            "title",
            "capitalize",
            "removeprefix",
            "removesuffix",
            "split",
            "rsplit",
            "splitlines",
            "partition",
            "rpartition",
        ],
        "acts",
    )
    | dict.fromkeys(
        [
            "startswith",
            "endswith",
            "isdigit",
            "isalpha",
            "isalnum",
            "isupper",
            "islower",
            "isspace",
            "isascii",
            "istitle",
            "isnumeric",
            "get",
        ],
        "either",
    )
    | dict.fromkeys(["find", "rfind", "index", "rindex", "count"], "finds")
)


class Tracer:
    """A template whose decisions are recorded, but for those that another template takes in the same way and place."""

    def __init__(self, template: Template, known: set[str], *, runs: bool = True) -> None:
        """With ``runs`` false only the decisions' keys are read; such a template cannot be drawn."""
        self.decisions: list[Decision] = []
        self.keys: set[str] = set()
        self.formats: list[str] = []  # in which the template asks for the date
        self.run = -1
        self._clock = datetime.datetime.fromisoformat(template.dialect.clock)
        self._known = known
        self._sign = Signatures()
        self._stack: list[tuple[int, Any, list[Any]]] = []
        environment = template.environment
        environment.fidelity = self  # type: ignore[attr-defined]
        environment.globals["strftime_now"] = self._now
        tree = environment.parse(template.source)
        self._source = template.source.splitlines()
        self._macros = {node.name for node in tree.find_all(nodes.Macro)}
        self._given = self._macros | {node.name for node in tree.find_all(nodes.Name) if node.ctx != "load"}
        self._body(tree.body, ())
        self.template = template
        if runs:
            tree.set_environment(environment)
            code = environment.compile(tree)
            template.compiled = environment.template_class.from_code(environment, code, environment.make_globals(None))

    def enter(self, run: int, clock: str) -> None:
        """The next rendering is of a conversation of this number, at this time."""
        self.run = run
        self._stack.clear()
        self._clock = datetime.datetime.fromisoformat(clock)

    def draw(self, conversation: Conversation) -> None:
        """Render a conversation; raises what the template raises."""
        self.template.render(conversation, _MAX_TEXT)

    def _now(self, form: str) -> str:
        if form not in self.formats and len(self.formats) < _FORMATS:
            self.formats.append(str(form))
        return self._clock.strftime(form)

    # what the instrumented template calls while it runs

    def into(self, number: int, value: Any) -> Any:
        """Something goes into a decision."""
        self._stack.append((number, value, []))
        return value

    def held(self, number: int, value: Any) -> Any:
        """What it is held against."""
        if self._stack and self._stack[-1][0] == number:
            self._stack[-1][2].append(value)
        return value

    def came(self, number: int, result: Any) -> Any:
        """What came of it."""
        value: Any = None
        against: list[Any] = []
        while self._stack:
            found, value, against = self._stack.pop()
            if found == number:
                break
        decision = self.decisions[number]
        if decision.kind in SELECTING:
            value, result = value if size_of(value) >= 0 else None, list(result)
        outcome = OUTCOMES[decision.kind](decision, value, against, result)
        decision.outcomes |= outcome if isinstance(outcome, set) else {outcome}
        if len(decision.seen) < _REMEMBERED or decision.seen[-1].run != self.run:
            decision.seen = [
                *decision.seen[: _REMEMBERED // 2],
                *decision.seen[_REMEMBERED // 2 :][-_REMEMBERED // 2 :],
            ]
            decision.seen.append(Seen(value, list(against), self.run))
        return result

    def passed(self, number: int) -> str:
        """A place was reached."""
        decision = self.decisions[number]
        decision.outcomes |= {True}
        decision.seen = [*decision.seen[:2], Seen(None, [], self.run)]
        return ""

    # how it is instrumented

    def _new(
        self, node: nodes.Node, kind: str, needs: set[Any], chain: tuple[str, ...], place: str, **more: Any
    ) -> int:
        """The number of a decision; -1 if the other template takes it in the same way and place."""
        key = digest([*chain, kind, place])
        self.keys.add(key)
        if key in self._known:
            return -1
        line = node.lineno
        words = self._source[line - 1].strip()[:_SHOWN] if 0 < line <= len(self._source) else ""
        self.decisions.append(Decision(line, kind, words, needs, **more))
        return len(self.decisions) - 1

    def _ask(self, method: str, number: int, *values: nodes.Expr) -> nodes.Expr:
        call = nodes.EnvironmentAttribute("fidelity")
        return nodes.Call(nodes.Getattr(call, method, "load"), [nodes.Const(number), *values], [], None, None)

    def _body(self, body: list[Any], chain: tuple[str, ...]) -> None:
        for node in body:
            self._statement(node, chain)

    def _statement(self, node: Any, chain: tuple[str, ...]) -> None:
        if isinstance(node, nodes.If):
            place = self._sign.of(node)
            test, rest = self._sign.of(node.test), otherwise(node)
            node.test = self._boolean(node.test, chain, place)
            node.elif_, node.else_ = [], rest
            self._body(node.body, (*chain, test))
            self._body(rest, (*chain, "not " + test))
        elif isinstance(node, nodes.For):
            self._loop(node, chain)
        elif isinstance(node, nodes.Macro):
            number = self._new(node, "called", {True}, chain, self._sign.of(node))
            self._body(node.body, (*chain, "macro " + node.name))
            if number >= 0:
                node.body.insert(0, nodes.ExprStmt(self._ask("passed", number)).set_lineno(node.lineno))
        elif is_generation(node):
            self._body(node.body, chain)
        elif isinstance(node, nodes.FilterBlock):
            self._new(node, "unknown", {"never"}, chain, self._sign.of(node))
            self._body(node.body, chain)
        elif isinstance(node, nodes.Output):
            node.nodes = [self._value(child, chain) for child in node.nodes]
        else:
            for name, value in list(node.iter_fields()):
                if isinstance(value, nodes.Expr):
                    setattr(node, name, self._loaded(value, chain))
                elif name in {"body", "else_"}:
                    self._body(value, chain)
                elif isinstance(value, list):
                    setattr(node, name, [self._loaded(one, chain) for one in value])

    def _loaded(self, value: Any, chain: tuple[str, ...]) -> Any:
        loaded = isinstance(value, nodes.Expr) and getattr(value, "ctx", "load") == "load"
        return self._value(value, chain) if loaded else value

    def _loop(self, node: nodes.For, chain: tuple[str, ...]) -> None:
        place = self._sign.of(node)
        inside = (*chain, "for " + self._sign.of(node.iter))
        needs = {True, False} if node.else_ else {True}
        number = self._new(node, "entered", needs, chain, place, names=_names(node.iter))
        node.iter = self._value(node.iter, chain)
        if node.test is not None:
            node.test = self._boolean(node.test, inside, place)
        self._body(node.body, inside)
        self._body(node.else_, (*chain, "not " + inside[-1]))
        if number >= 0:
            entered: Any = node.iter
            node.iter = self._ask("came", number, self._ask("into", number, entered))
            node.body.insert(0, nodes.ExprStmt(self._ask("passed", number)).set_lineno(node.lineno))

    def _boolean(self, node: Any, chain: tuple[str, ...], place: str) -> Any:
        """An expression of which only the truth counts: each of its parts has to be seen true and false."""
        if isinstance(node, nodes.And | nodes.Or):
            node.left, node.right = (self._boolean(side, chain, place) for side in (node.left, node.right))
            return node
        if isinstance(node, nodes.Not):
            node.node = self._boolean(node.node, chain, place)
            return node
        if _constant(node):
            return node
        if isinstance(node, nodes.Compare | nodes.Test):
            return self._comparison(node, chain, place)
        number = self._new(node, "true", {True, False}, chain, place + self._sign.of(node), names=_names(node))
        inner = self._value(node, chain, subject=True)
        return inner if number < 0 else self._ask("came", number, self._ask("into", number, inner))

    def _comparison(self, node: Any, chain: tuple[str, ...], place: str = "") -> Any:
        if self._settled(node):
            return node
        subject = node.expr if isinstance(node, nodes.Compare) else node.node
        operator = node.ops[0].op if isinstance(node, nodes.Compare) else node.name
        number = self._new(
            node, "true", {True, False}, chain, place + self._sign.of(node), operator=operator, names=_names(node)
        )
        inner = self._value(subject, chain, subject=True)
        inner = inner if number < 0 else self._ask("into", number, inner)
        if isinstance(node, nodes.Compare):
            node.expr = inner
            for operand in node.ops:
                operand.expr = self._held(number, operand.expr, chain)
        else:
            node.node = inner
            node.args = [self._held(number, one, chain) for one in node.args or []]
        return node if number < 0 else self._ask("came", number, node)

    def _settled(self, node: Any) -> bool:
        """A question whose answer is the same for every request."""
        subject = node.node if isinstance(node, nodes.Test) else None
        return isinstance(subject, nodes.Name) and node.name in {"defined", "undefined"} and subject.name in PASSED

    def _held(self, number: int, node: Any, chain: tuple[str, ...]) -> Any:
        inner = self._value(node, chain, subject=True)
        return inner if number < 0 else self._ask("held", number, inner)

    def _value(self, node: Any, chain: tuple[str, ...], *, subject: bool = False) -> Any:
        """An expression of which the value counts; a ``subject`` is looked at by something that is recorded itself."""
        if node is None or isinstance(node, nodes.TemplateData) or _constant(node):
            return node
        if isinstance(node, nodes.And | nodes.Or):
            node.left = self._boolean(node.left, chain, self._sign.of(node))
            node.right = self._value(node.right, chain)
            return node
        if isinstance(node, nodes.Not):
            return self._boolean(node, chain, self._sign.of(node))
        if isinstance(node, nodes.Compare | nodes.Test):
            return self._comparison(node, chain)
        if isinstance(node, nodes.CondExpr):
            node.test = self._boolean(node.test, chain, self._sign.of(node))
            node.expr1, node.expr2 = self._value(node.expr1, chain), self._value(node.expr2, chain)
            return node
        if isinstance(node, nodes.Filter):
            return self._filter(node, chain)
        if isinstance(node, nodes.Call):
            return self._call(node, chain)
        if isinstance(node, nodes.Getitem) and not isinstance(node.arg, nodes.Const):
            return self._choice(node, chain)
        if isinstance(node, nodes.Mul | nodes.Mod):
            return self._product(node, chain)
        own = isinstance(node, nodes.Name) and (node.name in self._given or node.name in PASSED)
        if isinstance(node, nodes.Name | nodes.Getattr | nodes.Getitem) and not subject and not own:
            number = self._new(node, "there", {True}, chain, self._sign.of(node), names=_names(node))
            if not isinstance(node, nodes.Name):
                node.node = self._value(node.node, chain, subject=True)
            return node if number < 0 else self._ask("came", number, self._ask("into", number, node))
        self._children(node, chain)
        return node

    def _children(self, node: Any, chain: tuple[str, ...]) -> None:
        for name, value in list(node.iter_fields()):
            if isinstance(value, nodes.Expr):
                setattr(node, name, self._value(value, chain, subject=True))
            elif isinstance(value, list):
                changed = [self._value(v, chain, subject=True) if isinstance(v, nodes.Expr) else v for v in value]
                setattr(node, name, changed)
                for pair in value:
                    if isinstance(pair, nodes.Pair | nodes.Keyword):
                        pair.value = self._value(pair.value, chain, subject=True)

    def _filter(self, node: nodes.Filter, chain: tuple[str, ...]) -> Any:
        name = node.name
        if name == "map" and node.args and isinstance(node.args[0], nodes.Const):
            name = str(node.args[0].value)
        what = "copies" if node.name == "map" and not node.args else _FILTERS.get(name, "unknown")
        return self._through(node, node.node, name, what, chain)

    def _call(self, node: nodes.Call, chain: tuple[str, ...]) -> Any:
        if isinstance(node.node, nodes.Name):
            plain = node.node.name in _FUNCTIONS | self._macros
            if not plain:
                self._new(node, "unknown", {"never"}, chain, self._sign.of(node))
            node.args = [self._value(one, chain, subject=True) for one in node.args]
            for pair in node.kwargs:
                pair.value = self._value(pair.value, chain, subject=True)
            return node
        if isinstance(node.node, nodes.Getattr | nodes.Getitem):
            name = node.node.attr if isinstance(node.node, nodes.Getattr) else str(getattr(node.node.arg, "value", ""))
            return self._through(node, node.node.node, name, _CALLS.get(name, "unknown"), chain)
        self._new(node, "unknown", {"never"}, chain, self._sign.of(node))
        return node

    def _through(self, node: Any, subject: Any, name: str, what: str, chain: tuple[str, ...]) -> Any:
        """A filter or a method: its input, its arguments and its result are recorded where it does more than copy."""
        if subject is None:
            self._new(node, "unknown", {"never"}, chain, self._sign.of(node))
            return node
        kinds: dict[str, set[Any]] = {
            "acts": {True},
            "either": {True, False},
            "finds": {True, False},
            "unknown": {"never"},
        }
        needs = kinds.get(what, set())
        if name == "get" and node.args and isinstance(node.args[0], nodes.Const):
            needs = {True}
        if what == "copies" or (subject is not None and _constant(subject) and not node.args):
            number = -1
        else:
            kind = name if what == "either" else what
            kind = kind if kind in OUTCOMES else "true"
            number = self._new(node, kind, needs, chain, self._sign.of(node), operator=name, names=_names(node))
        inner = self._value(subject, chain, subject=True)
        inner = inner if number < 0 else self._ask("into", number, inner)
        if isinstance(node, nodes.Filter):
            node.node = inner
        else:
            node.node.node = inner
        node.args = [self._held(number, one, chain) for one in node.args or []]
        for pair in node.kwargs or []:
            pair.value = self._held(number, pair.value, chain)
        return node if number < 0 else self._ask("came", number, node)

    def _choice(self, node: nodes.Getitem, chain: tuple[str, ...]) -> Any:
        if isinstance(node.arg, nodes.Slice):
            number = self._new(node, "slice", {True}, chain, self._sign.of(node), names=_names(node))
            bounds = [node.arg.start, node.arg.stop, node.arg.step]
            node.arg.start, node.arg.stop, node.arg.step = (b and self._held(number, b, chain) for b in bounds)
        else:
            number = self._new(node, "choice", {True}, chain, self._sign.of(node), names=_names(node))
            node.arg = self._held(number, node.arg, chain)
        inner = self._value(node.node, chain, subject=True)
        node.node = inner if number < 0 else self._ask("into", number, inner)
        return node if number < 0 else self._ask("came", number, node)

    def _product(self, node: Any, chain: tuple[str, ...]) -> Any:
        """A text times a number is a condition; a text with a form for something else may cut it."""
        sides = [node.left, node.right]
        if isinstance(node, nodes.Mod):
            form = str(getattr(sides[0], "value", "")).replace("%s", "").replace("%d", "")
            if "%" in form:
                self._new(node, "unknown", {"never"}, chain, self._sign.of(node))
        number = -1
        if isinstance(node, nodes.Mul):
            number = self._new(
                node, "true", {True, False}, chain, self._sign.of(node), operator="*", names=_names(node)
            )
        node.left, node.right = (self._value(side, chain, subject=True) for side in sides)
        if number < 0:
            return node
        node.left, node.right = self._ask("into", number, node.left), self._ask("held", number, node.right)
        return self._ask("came", number, node)


def _constant(node: Any) -> bool:
    return not any(True for _ in _looked_at(node))


def _names(node: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_looked_at(node)))


def _looked_at(node: Any) -> Iterator[str]:
    """Variables and keys that an expression looks at."""
    if isinstance(node, nodes.Name):
        yield node.name
    elif isinstance(node, nodes.Getattr):
        yield node.attr
    elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        yield str(node.arg.value)
    elif isinstance(node, nodes.EnvironmentAttribute | nodes.ExtensionAttribute):
        yield "(environment)"
    for child in node.iter_child_nodes():
        yield from _looked_at(child)

"""Which branches of a template a set of conversations never enters: what they cannot vouch for. Runs in the child only.

Counted are every ``{% if %}`` and ``{% elif %}`` that holds, each chain of them of which none holds, and both ends of
every ``{% for %}``: entered, or over nothing. Inline ``a if b else c`` is not counted.
"""

from __future__ import annotations

import jinja2
import jinja2.nodes

from harness.prompts.conversation import Conversation
from harness.prompts.jinja.environment import Template

_HIT = "branch_was_entered"


class CoverageProbe:
    """A template with a marker at the start of every branch; rendering conversations fills ``entered``."""

    def __init__(self, template: Template) -> None:
        self.branches: list[tuple[int, str]] = []
        self.entered: set[int] = set()
        environment = template.environment
        environment.globals[_HIT] = self._hit
        tree = environment.parse(template.source)
        self._mark(tree)
        code = environment.compile(tree)
        template.compiled = environment.template_class.from_code(environment, code, environment.make_globals(None))
        self._template = template

    def render(self, conversation: Conversation, limit: int) -> None:
        """Enter the branches that one conversation enters."""
        self._template.render(conversation, limit)

    def missed(self) -> list[tuple[int, str]]:
        """Line and kind of the branches that were never entered, in the order of the lines."""
        return sorted(branch for number, branch in enumerate(self.branches) if number not in self.entered)

    def _hit(self, number: int) -> str:
        self.entered.add(number)
        return ""

    def _marker(self, line: int, kind: str) -> jinja2.nodes.Node:
        self.branches.append((line, kind))
        call = jinja2.nodes.Call(
            jinja2.nodes.Name(_HIT, "load"), [jinja2.nodes.Const(len(self.branches) - 1)], [], None, None
        )
        return jinja2.nodes.ExprStmt(call).set_lineno(line)

    def _mark(self, tree: jinja2.nodes.Template) -> None:
        conditions = list(tree.find_all(jinja2.nodes.If))
        further = {id(branch) for node in conditions for branch in node.elif_}  # their "else" is that of the first
        for loop in list(tree.find_all(jinja2.nodes.For)):
            loop.body.insert(0, self._marker(loop.lineno, "loop entered"))
            loop.else_.insert(0, self._marker(loop.lineno, "loop over nothing"))
        for node in conditions:
            node.body.insert(0, self._marker(node.lineno, "condition true"))
            if id(node) not in further:
                node.else_.insert(0, self._marker(node.lineno, "condition false"))
        assert tree.environment is not None
        tree.set_environment(tree.environment)

"""Reasoning that a model writes before its answer: the marks around it, and how a reply that was taken apart is put together.

A parser takes marks and blanks away: what is seen is ``taken_apart(raw)``, and several raw replies look the same. One of them,
``put_together``, stands for all; what that loses is measured on local replies that go through both (docs/reasoning.md).
"""

from __future__ import annotations

import re
import unicodedata

from harness.suites.model import Frozen

#: How reasoning begins and ends where nobody has taken it out of the text.
THOUGHTS = (
    ("<think>", "</think>"), ("<mm:think>", "</mm:think>"), ("<seed:think>", "</seed:think>"), ("<thinking>", "</thinking>"),
    ("[THINK]", "[/THINK]"), ("\u25c1think\u25b7", "\u25c1/think\u25b7"),
)  # fmt: skip


class Marks(Frozen):
    """How one model's replies are built: ``begin`` reasoning ``end`` answer, with the blanks that its template puts around.

    ``opened``: the prompt ends with ``begin``, so that a reply starts inside the reasoning. Without marks, both are empty.
    """

    begin: str = ""
    end: str = ""
    opened: bool = False
    after_begin: str = ""
    before_end: str = ""
    after_end: str = ""

    def __bool__(self) -> bool:
        """Whether replies hold reasoning at all."""
        return bool(self.end)


#: What stands for the marks of a model whose template does not show any, though its host tells reasoning.
USUAL = Marks(begin="<think>", end="</think>", after_begin="\n", before_end="\n", after_end="\n\n")


def learn_marks(asked: str, answered: str, thought: str, reasoning: str, answer: str) -> Marks:
    """The marks of a template: ``asked`` is a prompt with the header of the reply, ``answered`` the same exchange with a
    reply, ``thought`` with a reply and its reasoning; ``reasoning`` and ``answer`` are their texts.

    A template that shows no reasoning may still open one in the prompt; one that does neither gives no marks.
    """
    start, close = thought.rfind(reasoning), thought.rfind(answer)
    if 0 <= start < close:
        return _shown(asked, thought[:start], thought[start + len(reasoning) : close])
    header = answered[: answered.rfind(answer)] if answer in answered else ""
    known = next((pair for pair in THOUGHTS if _ends(asked, pair[0])), None)
    begin = known[0] if known else asked[_shared(asked, header) :].strip()
    end = known[1] if known else _closing(begin)
    if not end or not _ends(asked, begin):
        return Marks()
    return USUAL.model_copy(update={"begin": begin, "end": end, "opened": True, "after_begin": ""})


def _shown(asked: str, head: str, between: str) -> Marks:
    """The marks of a template that writes reasoning: ``head`` stands before it, ``between`` behind it and before the answer."""
    end = between.strip()
    if not end:
        return Marks()
    before_end, _, after_end = between.partition(end)
    opened = asked.rstrip() == head.rstrip()
    rest = "" if opened else head[_shared(asked, head) :]
    begin = rest.strip() or next((one for one, other in THOUGHTS if other == end), end.replace("/", "", 1))
    if opened and not _ends(asked, begin):
        begin = ""
    after_begin = rest[len(rest.rstrip()) :] if rest.strip() else ""
    return Marks(
        begin=begin, end=end, opened=opened, after_begin=after_begin, before_end=before_end, after_end=after_end
    )


def taken_apart(raw: str, marks: Marks) -> tuple[str, str]:
    """Reasoning and answer of a raw reply as a parser gives them, without marks and outer blanks, composed alike."""
    text = raw.lstrip()
    if text.startswith(marks.begin):
        text = text.removeprefix(marks.begin)
    elif not marks.opened and marks.end not in text:
        return "", _plain(raw)
    thought, _, answer = text.partition(marks.end)
    return _plain(thought), _plain(answer)


def put_together(thought: str, answer: str, marks: Marks) -> str:
    """The raw reply that stands for all that look so: reasoning that was not answered ends without a mark."""
    if not thought.strip() and not answer.strip():
        return ""
    if not thought.strip() and not marks.opened:
        return answer
    opening = ("" if marks.opened else marks.begin) + marks.after_begin
    closing = marks.before_end + marks.end + marks.after_end + answer.strip() if answer.strip() else ""
    return opening + thought.strip() + closing


def with_blanks_of(raw: str, marks: Marks) -> Marks:
    """The marks with the blanks that a raw reply has around them, as far as it shows them."""
    bare = raw.lstrip()
    begun = not marks.opened and bare.startswith(marks.begin)
    inside = bare.removeprefix(marks.begin) if begun else raw
    thought, end, answer = inside.partition(marks.end)
    seen = {"after_begin": inside[: len(inside) - len(inside.lstrip())]} if begun or marks.opened else {}
    if end:
        seen["before_end"] = thought[len(thought.rstrip()) :]
        seen["after_end"] = answer[: len(answer) - len(answer.lstrip())]
    return marks.model_copy(update=seen)


def looks_alike(seen: tuple[str, str], raw: str, marks: Marks) -> bool:
    """Whether a raw reply, taken apart, is what was seen; a closing mark that was cut in the middle may be missing."""
    thought, answer = taken_apart(raw, marks)
    if seen == (thought, answer):
        return True
    begun = next((n for n in range(len(marks.end) - 1, 0, -1) if thought.endswith(marks.end[:n])), 0)
    return not answer and bool(begun) and seen == (_plain(thought[:-begun]), "")


def without_doubled(text: str, marks: Marks) -> str:
    """A text without the opening mark that a host put in front, though it stood in the prompt."""
    return text.lstrip().removeprefix(marks.begin).lstrip() if marks.opened else text


def written(thought: str, text: str) -> str:
    """All that a model wrote, in one text and without an opening mark, for whoever compares what was written."""
    bare = next((text.lstrip().removeprefix(begin) for begin, _ in THOUGHTS if text.lstrip().startswith(begin)), text)
    return "\n".join(part for part in (thought, bare) if part)


def inline_reasoning(text: str, prompt: str = "") -> tuple[str, str]:
    """Reasoning at the beginning of a reply, and the rest; templates may have opened it already, in the ``prompt``.

    Reasoning that does not end is all of the reply.
    """
    bare = text.lstrip()
    for begin, end in THOUGHTS:
        opened = prompt.rstrip().endswith(begin) or (end in bare and begin not in bare)
        if bare.startswith(begin) or opened:
            reasoning, _, rest = bare.removeprefix(begin).partition(end)
            return reasoning.strip(), rest.lstrip()
    return "", text


def closed_reasoning(prompt: str) -> str:
    """A prompt whose reasoning, if its template has opened some, is ended again."""
    for begin, end in THOUGHTS:
        if prompt.rstrip().endswith(begin):
            return f"{prompt.rstrip()}\n\n{end}\n\n"
    return prompt


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip().rstrip("\ufffd").rstrip()


def _ends(prompt: str, mark: str) -> bool:
    return bool(mark) and prompt.rstrip().endswith(mark)


def _shared(one: str, other: str) -> int:
    """How many characters two texts begin with in common."""
    shortest = min(len(one), len(other))
    return next((place for place in range(shortest) if one[place] != other[place]), shortest)


def _closing(begin: str) -> str:
    """The closing mark of an opening one that is written like a tag; empty for anything else."""
    return f"{begin[0]}/{begin[1:]}" if _TAG.fullmatch(begin) else ""


_TAG = re.compile(r"<[\w:.-]+>|\[[\w:.-]+\]|\u25c1[\w:.-]+\u25b7")

"""pytest: hold quantized copies to their gates and baselines. Inert until a test uses the marker or the fixture.

    @pytest.mark.fidelity(reference="./model", candidate="./model-int4", gates=["4bit"], baseline="int4.json")
    def test_int4_has_not_become_worse(): ...

    def test_awq_is_closer_than_it_was(fidelity):
        assert fidelity.compare("./model", "./awq", gates=["4bit"]).value("kl_ref_cand") < 0.2

Nothing here imports more than pytest: the harness is loaded when the first test asks for it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from harness.testing import Answer, Comparer

_COMPARER = pytest.StashKey["Comparer"]()
_ANSWER = pytest.StashKey["Answer"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options, in a group of their own."""
    group = parser.getgroup("fidelity", "fidelity of model copies")
    group.addoption("--fidelity-fail", action="append", default=[], metavar="EXPR",
                    help="A gate for every fidelity test: an expression, a preset or a policy file. Repeatable.")  # fmt: skip
    group.addoption("--fidelity-update", action="store_true", help="Write the baselines of the tests that run anew.")
    group.addoption("--fidelity-update-new-only", action="store_true", help="Write only baselines that are missing.")
    group.addoption("--fidelity-undecided", default="fail", choices=["fail", "skip"],
                    help="What an undecided gate does to its test; passed it never is.")  # fmt: skip
    group.addoption("--fidelity-results", default="", metavar="DIR", help="Where runs are kept [default: results].")


def pytest_configure(config: pytest.Config) -> None:
    """The marker."""
    config.addinivalue_line(
        "markers",
        "fidelity(reference, candidate, claim, gates, baseline, suite, profile, ...): compare before the test's body runs, "
        "and fail unless every gate passes; the words are those of 'fidelity compare'",
    )


class Fidelity:
    """What the fixture gives: ``compare`` for comparisons of one's own, ``answer`` for the one of the marker."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._item = request.node

    @property
    def answer(self) -> Answer:
        """How the marker's comparison was judged."""
        if _ANSWER not in self._item.stash:
            raise pytest.UsageError("fidelity.answer needs @pytest.mark.fidelity(...) on the test")
        answer: Answer = self._item.stash[_ANSWER]
        return answer

    def compare(self, reference: object, candidate: object, *, check: bool = True, **options: object) -> Answer:
        """Compare a candidate with a reference; fails the test unless it is WITHIN, or with ``check=False`` never.

        Options: claim, gates, baseline, suite, profile, band, ladder, device, dtype, threads.
        """
        __tracebackhide__ = True
        answer = _answered(self._item, {"reference": reference, "candidate": candidate, **options})
        if check:
            _judge(self._item, answer)
        return answer


@pytest.fixture
def fidelity(request: pytest.FixtureRequest) -> Iterator[Fidelity]:
    """Comparisons of model copies inside a test; see ``Fidelity``."""
    yield Fidelity(request)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Judge the marker's comparison before the test's own body runs."""
    __tracebackhide__ = True
    for marker in item.iter_markers("fidelity"):  # several: one comparison each, the closest last
        if marker.args:
            pytest.fail("the fidelity marker takes keywords: reference=..., candidate=...", pytrace=False)
    for marker in reversed(list(item.iter_markers("fidelity"))):
        item.stash[_ANSWER] = _answered(item, dict(marker.kwargs))
        _judge(item, item.stash[_ANSWER])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A line per comparison, where there was one."""
    lines = []
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") == "call":
                lines += [f"{report.nodeid}: {said}" for name, said in report.user_properties if name == "fidelity"]
    if lines:
        terminalreporter.section("fidelity")
        for line in dict.fromkeys(lines):
            terminalreporter.line(line)


def _answered(item: pytest.Item, arguments: dict[str, object]) -> Answer:
    __tracebackhide__ = True
    from harness.errors import FidelityError  # noqa: PLC0415 - the harness is loaded by the first test that needs it
    from harness.testing import wish_of  # noqa: PLC0415

    try:
        answer = _comparer(item.config).answer(wish_of(arguments), Path(str(item.path)).parent)
    except FidelityError as error:
        pytest.fail(f"fidelity: {error}", pytrace=False)
    verdict = answer.candidate.verdict
    cause = f" cause={verdict.cause}" if verdict.cause else ""
    written = f", baseline written: {answer.baseline_written.name}" if answer.baseline_written else ""
    said = f"{answer.candidate.evidence.label} {verdict.outcome}{cause}{written}, {answer.report}"
    item.user_properties.append(("fidelity", said))
    return answer


def _judge(item: pytest.Item, answer: Answer) -> None:
    __tracebackhide__ = True
    if answer.outcome == "WITHIN":
        return
    if answer.outcome == "INCONCLUSIVE" and item.config.getoption("--fidelity-undecided") == "skip":
        pytest.skip(answer.message)
    pytest.fail(answer.message, pytrace=False)


def _comparer(config: pytest.Config) -> Comparer:
    if _COMPARER not in config.stash:
        from harness.config import Places  # noqa: PLC0415
        from harness.testing import Comparer  # noqa: PLC0415

        given = config.getoption("--fidelity-results")
        results = Path(given) if given else Places.default().results
        update = "all" if config.getoption("--fidelity-update") else "no"
        config.stash[_COMPARER] = Comparer(
            root=config.rootpath,
            results=results if results.is_absolute() else config.rootpath / results,
            session=os.environ.get("PYTEST_XDIST_TESTRUNUID", "") or secrets.token_hex(8),
            fail=tuple(config.getoption("--fidelity-fail")),
            update="new" if update == "no" and config.getoption("--fidelity-update-new-only") else update,  # type: ignore[arg-type]
        )
    return config.stash[_COMPARER]

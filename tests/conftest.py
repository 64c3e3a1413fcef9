"""Shared fixtures: the toy checkpoint, a small suite, the real demo model, a place for runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.config import Places
from harness.observations.events import Stop
from harness.pipeline import Candidate, Request, compare
from harness.reports.scorecard import Scorecard
from harness.targets.demo_model import build_demo_gguf, build_demo_reference, demo_gguf, demo_reference
from harness.targets.endpoint.local import local_host
from harness.targets.spec import Runtime
from tests.support.brief import cut_layers
from tests.support.reported import scored_toy, toy_run, toy_tasks  # noqa: F401 - fixtures
from tests.support.toy import make_suite, make_toy

#: Files that took longest, in the long run or in the short one: of two processes, none should wait for one at the end.
LONGEST = (
    "test_known_answers.py", "test_families.py", "cli/test_template.py", "auditing/test_audit.py",
    "examples/test_quantizer_ci.py",
    "tasking/test_hosts.py", "cli/test_plan.py", "cli/test_compare.py", "prompting/test_served.py", "test_pipeline.py",
    "prompting/test_self_render.py", "prompting/test_counts.py", "tasking/test_tools.py", "reports/pages/test_browser.py",
    "targets/endpoint/test_trials.py", "prompts/test_faults.py", "targets/checkpoint/test_kept.py", "tasking/test_run.py",
    "test_pytest_plugin.py", "auditing/test_scorable.py", "comparisons/test_audit.py", "auditing/test_texts.py",
    "cli/test_endpoints.py", "auditing/test_honest_host.py", "targets/endpoint/test_transformers_serve.py",
    "test_gguf_verdicts.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files come first."""
    places = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy checkpoint that tests must not change."""
    return make_toy(tmp_path_factory.mktemp("toy") / "reference")


@pytest.fixture(scope="session")
def tiny_suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small suite folder."""
    return make_suite(tmp_path_factory.mktemp("suite") / "tiny")


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all runs of the session, so that the reference runs once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def smollm() -> Path:
    """The real demo reference, built once into the user's cache."""
    cache = Places.default().cache
    for _ in build_demo_reference(cache, None):
        pass
    return demo_reference(cache)


@pytest.fixture(scope="session")
def smollm_gguf() -> Path:
    """The GGUF file that the demo reference was made from."""
    cache = Places.default().cache
    for _ in build_demo_gguf(cache, None):
        pass
    return demo_gguf(cache)


@pytest.fixture(scope="session")
def llamacpp(smollm_gguf: Path) -> Iterator[str]:
    """The address of a real llama.cpp server with the demo model's file as it is."""
    with local_host(smollm_gguf) as address:
        yield address


@pytest.fixture(scope="session")
def brief_gguf() -> Path:
    """The same file with its first layer alone, for tests that ask what is sent and counted and not what is answered."""
    cache = Places.default().cache
    for _ in build_demo_gguf(cache, None):
        pass
    folder = cache / "tests"
    folder.mkdir(parents=True, exist_ok=True)
    return cut_layers(demo_gguf(cache), folder / f"one-layer-{demo_gguf(cache).name}")


@pytest.fixture(scope="session")
def brief_llamacpp(brief_gguf: Path) -> Iterator[str]:
    """The address of a real llama.cpp server with that file."""
    with local_host(brief_gguf) as address:
        yield address


class Runner:
    """Runs comparisons without a command line."""

    def __init__(self, cache: Path, results: Path) -> None:
        self.places = Places(results, cache)

    def __call__(self, reference: Path | str, *candidates: tuple[str, str], **options: object) -> Scorecard:
        """Compare; candidates are (specification, claim) pairs. The last event list is kept in ``events``."""
        threads = int(os.environ.get("OMP_NUM_THREADS", "0"))
        options.setdefault("runtime", Runtime(threads=threads))
        request = Request(
            reference=str(reference),
            candidates=tuple(Candidate(*pair) for pair in candidates),
            **options,  # type: ignore[arg-type]
        )
        self.events = []
        steps = compare(request, self.places, Stop())
        while True:
            try:
                self.events.append(next(steps))
            except StopIteration as end:
                return end.value


@pytest.fixture
def runner(shared_cache: Path, tmp_path: Path) -> Iterator[Runner]:
    """A runner with its own results folder."""
    yield Runner(shared_cache, tmp_path / "results")

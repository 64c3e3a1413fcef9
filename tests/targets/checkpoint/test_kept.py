"""Models in memory: as many as there is room for, the one in use always, none loaded twice while it is there."""

from __future__ import annotations

import pytest

from harness.targets.checkpoint import kept
from harness.targets.checkpoint.kept import KeptModels
from harness.targets.spec import Runtime, parse_spec

PLENTY = 1 << 30


@pytest.fixture
def specs(toy):
    """Three configurations of one checkpoint."""
    base = parse_spec(str(toy), Runtime())
    return base, parse_spec(f"rtn:4g32:{toy}", Runtime()), parse_spec(f"rtn:8g32:{toy}", Runtime())


@pytest.fixture
def loads(monkeypatch):
    """Which specifications were loaded, in order."""
    seen, real = [], kept.load

    def counted(spec):
        seen.append(spec)
        return real(spec)

    monkeypatch.setattr(kept, "load", counted)
    return seen


def test_with_room_a_model_is_loaded_once(specs, loads):
    """And it is the same object when it is asked for again."""
    models = KeptModels()
    first = [models.model(spec, PLENTY) for spec in specs]
    assert [models.model(spec, PLENTY) for spec in specs] == first
    assert loads == list(specs)


def test_without_room_there_is_one_model_at_a_time(specs, loads):
    """Every change loads anew; the one in use is not loaded again."""
    models = KeptModels()
    for spec in (specs[0], specs[0], specs[1], specs[0]):
        assert models.model(spec, 0).spec == spec
    assert loads == [specs[0], specs[1], specs[0]]


def test_the_model_that_waited_longest_goes_first(specs, loads):
    """With room for one beside the one in use."""
    models = KeptModels()
    size = kept._bytes(models.model(specs[0], PLENTY))
    for spec in (specs[1], specs[0], specs[2], specs[0], specs[1]):
        models.model(spec, size)
    assert loads == [specs[0], specs[1], specs[2], specs[1]]


def test_models_on_another_device_do_not_pile_up(specs, monkeypatch):
    """Room is counted in this machine's memory, which says nothing of a card's."""
    monkeypatch.setattr(kept, "load", lambda spec: kept.Loaded(spec, None, None, 0))
    monkeypatch.setattr(kept, "_bytes", lambda _: 1)
    models = KeptModels()
    for spec in specs:
        models.model(parse_spec(spec.base, Runtime(device="cuda", threads=specs.index(spec))), PLENTY)
    assert len(models._models) == 1

"""Models in memory: as many as there is room for, the one in use always, none loaded twice while it is there."""

from __future__ import annotations

import pytest
import torch

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
    seen, real = [], kept.load_model

    def counted(spec):
        seen.append(spec)
        return real(spec)

    monkeypatch.setattr(kept, "load_model", counted)
    return seen


def test_with_room_a_model_is_loaded_once(specs, loads):
    """And it is the same object when it is asked for again."""
    models = KeptModels()
    first = [models.model(spec, PLENTY).model for spec in specs]
    assert [id(models.model(spec, PLENTY).model) for spec in specs] == [id(one) for one in first]
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
    monkeypatch.setattr(kept, "load_model", lambda spec: (None, 0))
    monkeypatch.setattr(kept, "proved", lambda spec, model, changed: kept.Loaded(spec, model, None, changed))
    monkeypatch.setattr(kept, "_bytes", lambda _: 1)
    models = KeptModels()
    for attention in ("auto", "eager", "sdpa"):
        models.model(parse_spec(specs[0].base, Runtime(device="cuda", attention=attention)), PLENTY)
    assert len(models._models) == 1


def test_another_batch_or_number_of_threads_is_the_same_model(specs, loads):
    """What is asked of it is told by its specification; another attention is another model."""
    models = KeptModels()
    first = models.model(specs[0], 0)
    wide = models.model(specs[0].with_runtime(batch=2, threads=1), 0)
    assert wide.model is first.model
    assert wide.spec.runtime.batch == 2
    assert models.model(specs[0].with_runtime(attention="eager"), 0).model is not first.model
    assert len(loads) == 2


def test_a_model_whose_weights_were_read_is_run_without_being_loaded_again(specs, loads):
    """It is fresh when its weights are read, even where it had run before."""
    models = KeptModels()
    ran = models.model(specs[1], PLENTY).model
    fresh = models.unrun(specs[1], PLENTY)
    assert fresh is not ran
    assert models.model(specs[1], PLENTY).model is fresh
    assert len(loads) == 2


def test_a_model_that_was_only_read_makes_place_for_the_next(specs, loads):
    """Without room there is one model at a time, also of those that have not run."""
    models = KeptModels()
    models.model(specs[0], 0)
    models.unrun(specs[1], 0)
    assert models._models == {}
    models.model(specs[0], 0)
    models.model(specs[1], 0)
    assert [one.kind for one in loads] == ["plain", "rtn", "plain", "rtn"]


def test_threads_are_those_asked_for_or_those_that_may_be_used(specs, monkeypatch):
    """Also of a model that was loaded with another number."""
    before, models = torch.get_num_threads(), KeptModels()
    try:
        monkeypatch.setenv("OMP_NUM_THREADS", "3")
        for asked, found in ((2, 2), (0, 3), (1, 1)):
            models.model(specs[0].with_runtime(threads=asked), 0)
            assert torch.get_num_threads() == found
    finally:
        torch.set_num_threads(before)

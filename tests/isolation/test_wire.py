"""Frames between us and an isolated process."""

from __future__ import annotations

import io
import json
import struct

import numpy as np
import pytest

from harness.errors import WorkerDied
from harness.isolation.wire import receive, send


def round_trip(body, arrays):
    stream = io.BytesIO()
    send(stream, body, arrays)
    stream.seek(0)
    return receive(stream)


def test_bodies_and_arrays_come_back_as_they_were():
    """Values, names, shapes and types survive; an empty array is an array."""
    arrays = {"a": np.arange(6, dtype=np.int64).reshape(2, 3), "b": np.zeros((0, 4), dtype=np.float32)}
    body, out = round_trip({"request": "score", "n": 3}, arrays)
    assert body == {"request": "score", "n": 3}
    assert (out["a"] == arrays["a"]).all()
    assert out["b"].shape == (0, 4)


def frame(header):
    data = json.dumps(header).encode()
    return io.BytesIO(struct.pack(">Q", len(data)) + data)


@pytest.mark.parametrize(
    "stream",
    [
        io.BytesIO(b""),
        io.BytesIO(struct.pack(">Q", 1 << 40)),
        frame({"body": {}, "arrays": [{"name": "x", "dtype": "|O", "shape": [1]}]}),
        frame({"body": {}, "arrays": [{"name": "x", "dtype": "<f4", "shape": [-1]}]}),
        frame({"body": {}, "arrays": [{"name": "x", "dtype": "<f8", "shape": [1 << 40]}]}),
        frame({"body": {}, "arrays": [{"name": "x", "dtype": "<f8", "shape": [4]}]}),
    ],
    ids=["closed", "endless header", "object array", "negative shape", "giant array", "cut short"],
)
def test_frames_that_break_the_rules_end_the_conversation(stream):
    """A process that lies about sizes or types is not believed, and nothing is allocated for it."""
    with pytest.raises(WorkerDied):
        receive(stream)


def test_objects_cannot_be_sent():
    """Pickles have no way onto the wire."""
    with pytest.raises(TypeError):
        send(io.BytesIO(), {}, {"x": np.array([object()])})

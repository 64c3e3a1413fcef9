"""Importance matrices in both published forms."""

from __future__ import annotations

import struct

import gguf
import numpy as np
import pytest

from harness.errors import BrokenCheckpoint, TargetNotFound
from harness.targets.importance import read_importance

VALUES = np.array([1.0, 4.0, 9.0, 0.5], dtype=np.float32)


def test_both_forms_hold_the_same_numbers(tmp_path):
    """Sums of squares over their counts, by the name of the tensor; experts row by row."""
    old = tmp_path / "imatrix.dat"
    name = b"blk.0.attn_q.weight"
    body = struct.pack("<ii", 7, 4) + (VALUES * 7).tobytes()
    old.write_bytes(struct.pack("<i", 1) + struct.pack("<i", len(name)) + name + body)
    new = tmp_path / "imatrix.gguf"
    writer = gguf.GGUFWriter(str(new), "imatrix")
    writer.add_type("imatrix")
    writer.add_tensor("blk.0.attn_q.weight.in_sum2", (VALUES * 7)[None])
    writer.add_tensor("blk.0.attn_q.weight.counts", np.array([[7.0]], dtype=np.float32))
    writer.add_tensor("blk.0.ffn_up_exps.weight.in_sum2", np.stack([VALUES * 2, VALUES * 0]))
    writer.add_tensor("blk.0.ffn_up_exps.weight.counts", np.array([[2.0], [0.0]], dtype=np.float32))
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    assert np.allclose(read_importance(old)["blk.0.attn_q.weight"], VALUES[None])
    found = read_importance(new)
    assert np.allclose(found["blk.0.attn_q.weight"], VALUES[None])
    assert np.allclose(found["blk.0.ffn_up_exps.weight"], [VALUES, np.ones(4)])  # an expert that was never asked


def test_what_is_no_importance_matrix_is_refused(tmp_path):
    """A missing file, words, a cut file and numbers that are not finite."""
    with pytest.raises(TargetNotFound):
        read_importance(tmp_path / "none.dat")
    file = tmp_path / "x.dat"
    name = b"blk.0.attn_q.weight"
    head = struct.pack("<i", 1) + struct.pack("<i", len(name)) + name + struct.pack("<ii", 1, 4)
    for content in (
        b"not at all what it says",
        head + VALUES.tobytes()[:9],
        head + np.full(4, np.nan, "<f4").tobytes(),
    ):
        file.write_bytes(content)
        with pytest.raises(BrokenCheckpoint, match="no importance matrix"):
            read_importance(file)

"""Stored rows."""

from __future__ import annotations

import numpy as np
import pytest

from harness.errors import StoredRunError
from harness.targets.rows import empty_rows, pack_rows, unpack_rows


def test_rows_survive_storage_bit_for_bit():
    """What is read is what was written."""
    rows = empty_rows(17)
    rows["kl_ref_cand"] = np.linspace(0, 1, 17)
    assert unpack_rows(pack_rows(rows)).tobytes() == rows.tobytes()


def test_unwritten_numbers_are_not_zero():
    """A float column that nobody filled is NaN."""
    assert np.isnan(empty_rows(3)["tv"]).all()


@pytest.mark.parametrize("blob", [b"", b"\x63rest", pack_rows(empty_rows(2))[:10]])
def test_foreign_or_damaged_rows_are_refused(blob):
    """Another version, or a cut blob, is an error with a way out."""
    with pytest.raises(StoredRunError):
        unpack_rows(blob)

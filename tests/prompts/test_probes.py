"""The choice of probes: few, in order of use, and enough to tell what can be told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.prompts.probes import choose_probes

VECTORS = st.integers(1, 7).flatmap(
    lambda width: st.lists(st.lists(st.integers(0, 3), min_size=width, max_size=width), min_size=2, max_size=9)
)


@given(VECTORS)
def test_whatever_all_conversations_tell_apart_the_probes_tell_apart(vectors):
    """Two faults that differ somewhere differ on the chosen probes; a limit only cuts the end off."""
    sound, *rest = vectors
    faulty = {str(k): vector for k, vector in enumerate(rest)}
    probes = choose_probes(sound, faulty, 99)
    seen = {tuple(vector[k] for k in probes) for vector in vectors}
    assert len(seen) == len({tuple(vector) for vector in vectors})
    assert len(set(probes)) == len(probes)
    assert choose_probes(sound, faulty, 1) == probes[:1]


def test_the_first_probe_tells_most_and_useless_ones_are_left_out():
    """One conversation separates three faults, another two, a third none, a fourth is not rendered."""
    sound = [5, 5, 5, None]
    faulty = {"a": [6, 6, 5, 9], "b": [7, 6, 5, 8], "c": [8, 5, 5, 7]}
    assert choose_probes(sound, faulty, 31) == (0,)
    assert choose_probes(sound, {"same": sound}, 31) == ()

"""Distances over listed ids: never negative, at most the whole divergence, and blind to what a list does not hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.targets.checkpoint.listed_kernel import fill_band, fill_claims, fill_told, listed_logs
from harness.targets.checkpoint.tokenization import ids_of_bytes, load_tokenizer
from harness.targets.listed import Listed
from harness.targets.spec import Runtime, parse_spec
from harness.targets.token_evidence import empty_evidence
from tests.support.evidence import tell

IDS, TOKENS = 50, 200


@pytest.fixture(scope="module")
def sides():
    """Logits of two neighbouring models, and tokens."""
    rng = np.random.default_rng(1)
    z = 2.0 * rng.normal(size=(TOKENS, IDS))
    other = z + 0.3 * rng.normal(size=z.shape)
    return torch.from_numpy(z).float(), torch.from_numpy(other).float(), rng.integers(0, IDS, TOKENS)


def probabilities(z):
    return z.double().softmax(-1).numpy()


@pytest.mark.parametrize("count", [1, 5, 20, IDS])
def test_the_distance_is_a_lower_bound_of_the_divergence(sides, count):
    """For lists of any length; with everything listed it is the divergence itself, and 0 against itself."""
    z, other, tokens = sides
    q, p = probabilities(other), probabilities(z)
    listed = tell(q, tokens, count, digits=12)
    rows = empty_evidence(TOKENS)
    fill_told(listed_logs(z, listed), listed, rows)
    whole = (q * np.log(q / p)).sum(-1)
    assert (rows["told"] > -1e-9).all()
    assert (rows["told"] < whole + 1e-6).all()
    if count == IDS:
        np.testing.assert_allclose(rows["told"], whole, atol=1e-6)
    fill_told(listed_logs(other, listed), listed, rows)
    assert rows["told"].max() < 1e-9


def test_what_a_build_would_tell_is_its_band(sides):
    """The same number, whether it is told by the build or worked out for it on the same ids."""
    z, other, tokens = sides
    listed = tell(probabilities(other), tokens, digits=12)
    told, band = empty_evidence(TOKENS), empty_evidence(TOKENS)
    fill_told(listed_logs(z, listed), listed, told)
    fill_band(listed_logs(other, listed), listed_logs(z, listed), listed, band)
    np.testing.assert_allclose(told["told"], band["band"], atol=1e-6)


def test_places_without_a_list_and_ids_that_nobody_knows_count_for_nothing(sides):
    """NaN and not 0; an id beyond the vocabulary is passed over."""
    z, _, _ = sides
    listed = Listed.of([[], [(3, -0.5), (IDS + 7, -1.0)], *[[]] * (TOKENS - 2)])
    rows, silent = empty_evidence(TOKENS), np.zeros(IDS, dtype=bool)
    logs = listed_logs(z, listed)
    fill_told(logs, listed, rows)
    fill_claims(logs, listed, silent, rows)
    assert np.isfinite(rows["told"]).sum() == 1
    assert rows["count"][1] == 1
    assert np.isnan(rows["said"][0])
    assert not Listed.of([[], []])


def test_claims_are_those_of_the_token_that_came(sides):
    """Its log-probability, the likeliest audible id, silent mass, and what is left over."""
    z, _, _ = sides
    silent = np.zeros(IDS, dtype=bool)
    silent[2] = True
    listed = Listed.of([[(5, np.log(0.2)), (2, np.log(0.5)), (7, np.log(0.25))]] * TOKENS)
    rows = empty_evidence(TOKENS)
    fill_claims(listed_logs(z, listed), listed, silent, rows)
    first = rows[0]
    assert np.exp(first["said"]) == pytest.approx(0.2)
    assert np.exp(first["surest"]) == pytest.approx(0.25)
    assert not first["is_surest"]
    assert (first["hushed"], first["unlisted"], first["smallest"]) == pytest.approx((0.5, 0.05, 0.25))


def test_logarithms_of_another_temperature_are_a_straight_multiple(sides):
    """Slope 1/T, explained in full; another model's are neither."""
    z, other, tokens = sides
    for logits, slope in ((z * 1.5, 1.5), (other, None)):
        rows = empty_evidence(TOKENS)
        listed = tell(probabilities(logits), tokens, 20, digits=12)
        fill_claims(listed_logs(z, listed), listed, np.zeros(IDS, dtype=bool), rows)
        xx, xy, yy = rows["slope"].sum(0)
        straight = xy**2 / (xx * yy)
        if slope:
            assert (xy / xx, straight) == (pytest.approx(slope), pytest.approx(1.0))
        else:
            assert straight < 0.99


def test_every_token_of_a_real_vocabulary_is_found_by_its_bytes(smollm):
    """Byte-level letters, control tokens as their names; bytes that two ids spell, and foreign ones, are nobody's."""
    tokenizer = load_tokenizer(parse_spec(str(smollm), Runtime()))
    known = {"Ġthe": " the", "Ċ": "\n", "<|im_end|>": "<|im_end|>", "Ã©": "é"}
    for piece, text in known.items():
        wanted = tokenizer.convert_tokens_to_ids(piece)
        assert ids_of_bytes(tokenizer, [text.encode().decode("latin-1")]) == [wanted]
    assert ids_of_bytes(tokenizer, ["no such token at all", ""]) == [-1, -1]
    assert ids_of_bytes(tokenizer, ["\xc3"])[0] >= 0  # half a character

"""Claims are read off the tensors of a GGUF file, and rebuilt by their types."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.targets.alternatives import buildable, declared_claim, rebuild
from harness.targets.bank import bank_members
from harness.targets.checkpoint.files import DigestCache, read_identity
from harness.targets.gguf_claims import own_claim
from harness.targets.gguf_file import GgufFile, GgufTensor
from harness.targets.spec import gguf_detail, parse_spec
from tests.support.gguf_files import write_gguf


def made_of(file_type: int | None, *kinds: tuple[str, int]) -> GgufFile:
    """A file whose inner tensors are of these kinds, so many each, with rows of 256 weights."""
    tensors = [
        GgufTensor(f"blk.{number}.{kind}.weight", (8, 256), kind, Path("x.gguf"), 0)
        for kind, count in kinds
        for number in range(count)
    ]
    metadata = {"general.architecture": "llama"} | ({} if file_type is None else {"general.file_type": file_type})
    return GgufFile((Path("x.gguf"),), metadata, tuple(tensors))


@pytest.mark.parametrize(
    ("file_type", "kinds", "claim", "contradicts"),
    [
        (2, [("Q4_0", 4)], "gguf:Q4_0", False),
        (None, [("Q4_0", 4)], "gguf:Q4_0", False),
        (15, [("Q4_K", 6), ("Q6_K", 2)], "gguf:Q4_K_M", False),
        (30, [("IQ4_XS", 6), ("Q5_K", 2)], "gguf:IQ4_XS", False),
        (7, [("Q4_0", 4)], "gguf:Q4_0", True),
        (7, [("Q4_K", 6), ("Q6_K", 2)], "gguf:Q4_K+Q6_K", True),
        (None, [("Q8_0", 6), ("MXFP4", 2)], "gguf:Q8_0+MXFP4", False),
        (1, [("F16", 4)], "fp16", False),
        (32, [("BF16", 4)], "bf16", False),
        (0, [("F32", 4)], "fp32", False),
        (15, [("F16", 4)], "fp16", True),
    ],
)
def test_a_files_claim_is_what_its_tensors_are(file_type, kinds, claim, contradicts):
    """One type by its name, a recipe where header and tensors agree, several types by all their names otherwise."""
    found = own_claim(made_of(file_type, *kinds))
    assert (found.claim, bool(found.contradiction)) == (claim, contradicts)


def test_rows_that_fall_back_do_not_contradict_the_header():
    """Q4_K_M of rows of 96 weights is made of Q5_0; the header is right all the same."""
    tensors = [GgufTensor(f"blk.{i}.attn_q.weight", (8, 96), "Q5_0", Path("x.gguf"), 0) for i in range(4)]
    tensors.append(GgufTensor("token_embd.weight", (64, 96), "Q8_0", Path("x.gguf"), 0))
    file = GgufFile((Path("x.gguf"),), {"general.architecture": "llama", "general.file_type": 15}, tuple(tensors))
    assert own_claim(file).claim == "gguf:Q4_K_M"
    assert not own_claim(file).contradiction


def test_a_candidate_is_judged_under_its_own_claim(toy, tmp_path):
    """Without --claim the file's types are the claim, rebuilt tensor by tensor as in the file."""
    path = write_gguf(toy, tmp_path / "x.gguf", "Q4_0", file_type=2)
    spec = parse_spec(f"gguf:{path}")
    identity = read_identity(spec, DigestCache(tmp_path))
    assert declared_claim(spec, identity) == ("gguf:Q4_0", "the types of its tensors")
    rebuilt = rebuild("gguf:Q4_0", parse_spec(str(toy)), "fp32", str(path), ("Q4_0",))
    assert rebuilt is not None
    assert gguf_detail(rebuilt.detail).file == str(path)
    assert str(tmp_path) not in rebuilt.shown
    assert parse_spec(rebuilt.text) == rebuilt


def test_recipes_are_claims_without_a_file():
    """A host's Q4_K_M is rebuilt by llama.cpp's recipe; IQ2_XS only with an importance matrix."""
    reference = parse_spec("model")
    assert rebuild("gguf:Q4_K_M", reference, "bf16").text == "ggufq:Q4_K_M:model"  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="importance matrix") as refused:
        rebuild("gguf:IQ2_XS", reference, "bf16")
    assert "--imatrix" in refused.value.fix
    built = rebuild("gguf:IQ2_XS", reference, "bf16", importance="imatrix.gguf")
    assert built is not None
    assert gguf_detail(built.detail).importance == "imatrix.gguf"
    with pytest.raises(UsageError, match="cannot be rebuilt"):
        rebuild("gguf:Q4_Z", reference, "bf16")


def test_recipes_are_builds_that_a_host_may_serve():
    """The bank takes them by name; Q6_K lies about as near to the reference as 8 bits do."""
    members = bank_members(("ggufq:Q4_K_M", "ggufq:Q6_K", "ggufq:IQ4_XS"), parse_spec("model"))
    assert [(member.family, member.near) for member in members] == [
        ("quantization", False), ("quantization", True), ("quantization", False),
    ]  # fmt: skip


def test_a_gguf_file_can_be_the_reference():
    """Other precisions are built from it as from a folder."""
    reference = parse_spec("gguf:x.gguf")
    assert buildable(reference)
    spec = rebuild("gguf:Q4_K_M", reference, "fp32")
    assert spec is not None
    assert spec.in_gguf

"""Reading GGUF files without any library: tables, parts, and what is refused by its name."""

from __future__ import annotations

import struct

import gguf
import numpy as np
import pytest

from harness.errors import BrokenCheckpoint, TargetNotFound, TargetRefused
from harness.targets.gguf_file import TYPES, first_part, read_gguf, read_model
from tests.support.gguf_files import split_gguf, write_gguf


@pytest.fixture(scope="module")
def whole(toy, tmp_path_factory):
    return write_gguf(toy, tmp_path_factory.mktemp("gguf") / "whole.gguf")


def test_the_table_is_the_librarys(whole):
    """Names, shapes, types and places of all tensors, and every field, are those of the gguf package's reader."""
    ours, theirs = read_gguf(whole), gguf.GGUFReader(str(whole))
    assert [(t.name, t.shape, t.kind, t.start, t.size) for t in ours.tensors] == [
        (t.name, tuple(int(n) for n in t.shape[::-1]), t.tensor_type.name, int(t.data_offset), int(t.n_bytes))
        for t in theirs.tensors
    ]
    named = {name: field for name, field in theirs.fields.items() if not name.startswith("GGUF.")}
    assert set(ours.metadata) == set(named)
    assert ours.metadata["tokenizer.ggml.tokens"] == named["tokenizer.ggml.tokens"].contents()
    assert ours.metadata["llama.attention.layer_norm_rms_epsilon"] == 1e-06  # not 9.99999997e-07


def test_every_type_has_the_size_that_the_library_knows():
    """Numbers, blocks and bytes of tensor types are the format's."""
    sizes = {kind.name: (int(kind), *size) for kind, size in gguf.GGML_QUANT_SIZES.items()}
    assert {name: sizes[name] for name in TYPES} == TYPES


def test_a_file_that_ends_early_is_named(whole, tmp_path):
    """Cut inside the tensors or inside the table, the file is called cut short."""
    data = whole.read_bytes()
    for length in (len(data) - 5000, 3000, 20):
        cut = tmp_path / f"{length}.gguf"
        cut.write_bytes(data[:length])
        with pytest.raises(BrokenCheckpoint, match="ends early"):
            read_gguf(cut)


def test_other_byte_orders_and_versions_are_refused(whole, tmp_path):
    """A big-endian file and one of the first version are told apart from damage."""
    data = whole.read_bytes()
    for version, words in ((struct.pack(">I", 3), "another byte order"), (struct.pack("<I", 1), "version 1")):
        file = tmp_path / "other.gguf"
        file.write_bytes(data[:4] + version + data[8:])
        with pytest.raises(TargetRefused, match=words):
            read_gguf(file)


def test_parts_are_gathered_whichever_is_given(whole, tmp_path):
    """Each part of a split file stands for all of them."""
    copy = tmp_path / "whole.gguf"
    copy.write_bytes(whole.read_bytes())
    expected = read_gguf(copy)
    for part in split_gguf(copy, "toy", 3):
        found = read_gguf(part)
        assert [t.name for t in found.tensors] == [t.name for t in expected.tensors]
        assert found.metadata["llama.block_count"] == expected.metadata["llama.block_count"]
        assert first_part(part).name == "toy-00001-of-00003.gguf"


def test_a_missing_part_is_named(whole, tmp_path):
    """Without its second part a file is refused, and the place says which one is missing; so is the part itself."""
    copy = tmp_path / "whole.gguf"
    copy.write_bytes(whole.read_bytes())
    first, second = split_gguf(copy, "toy")
    second.unlink()
    with pytest.raises(BrokenCheckpoint, match="part 2 of 2") as refused:
        read_gguf(first)
    assert refused.value.where.endswith("toy-00002-of-00002.gguf")
    with pytest.raises(TargetNotFound, match="part 2 is not there"):
        read_gguf(second)
    renamed = first.rename(tmp_path / "renamed.gguf")
    with pytest.raises(BrokenCheckpoint, match="name does not say"):
        read_gguf(renamed)


def test_a_part_under_anothers_name_is_refused(whole, tmp_path):
    """Twice the first part is not the model."""
    copy = tmp_path / "whole.gguf"
    copy.write_bytes(whole.read_bytes())
    first, second = split_gguf(copy, "toy")
    second.write_bytes(first.read_bytes())
    with pytest.raises(BrokenCheckpoint, match="its name says part 1"):
        read_gguf(first)


def _bare(path, architecture, kind, tensors=()):
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_type(kind)
    for name in tensors:
        writer.add_tensor(name, np.zeros((4, 4), dtype=np.float32))
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    return path


@pytest.mark.parametrize(
    ("architecture", "kind", "tensors", "words"),
    [
        ("llama", "adapter", ("blk.0.attn_q.weight.lora_a",), "LoRA adapter"),
        ("clip", "mmproj", ("v.patch_embd.weight",), "mmproj"),
        ("imatrix", "imatrix", ("blk.0.attn_q.weight.in_sum2",), "importance matrix"),
        ("controlvector", "model", ("direction.1",), "control vector"),
        ("llama", "vocab", (), "no weights"),
    ],
)
def test_files_that_are_no_model_are_refused_by_what_they_are(tmp_path, architecture, kind, tensors, words):
    """Adapters, projectors, importance matrices, control vectors and bare vocabularies."""
    with pytest.raises(TargetRefused, match=words) as refused:
        read_model(_bare(tmp_path / "x.gguf", architecture, kind, tensors))
    assert refused.value.fix

"""Real K- and IQ-files of SmolLM2, by llama.cpp's recipe and quantizer: under their own claim, and sold as more.

    make bench-kquants                                    python bench/gguf_kquants.py --again RUN   (judged anew, no model)

The recipe is held against llama.cpp's own quantizer by ``tests/targets/test_gguf_recipe.py``, so the files made here
have its types. Rows say what is right beforehand. SmolLM2's rows of 576 weights fit no block of 256: most of Q4_K_M is
stored as Q5_0 and most of Q5_K_M as Q5_1, so that the data cannot order those two by their names.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
from _table import write

from harness.config import Places
from harness.observations.events import Stop
from harness.observations.journal import Journal
from harness.pipeline import Candidate, Request, compare
from harness.reports.build import build_scorecard
from harness.targets.checkpoint.ggml import quantized
from harness.targets.checkpoint.gguf_loading import decoded
from harness.targets.demo_model import build_demo_reference, demo_gguf, demo_reference
from harness.targets.gguf_file import TYPES, read_model
from harness.targets.gguf_recipe import FILE_TYPES, layout_of, recipe
from harness.targets.spec import Runtime
from tests.support.gemma import gemma_gguf, gemma_reference
from tests.support.toy import cut_core

KINDS = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "IQ4_XS")
#: File, what it is sold as (empty: as its own tensors are), and the outcome that is right.
SOLD = (
    *((kind, "", "WITHIN") for kind in KINDS),
    *((kind, "gguf:Q8_0", "BEYOND") for kind in KINDS[1:]),
    *((kind, "bf16", "BEYOND") for kind in KINDS),
    ("Q4_K_M", "gguf:Q6_K", "BEYOND"),
)


def make(source: Path, name: str, folder: Path) -> Path:
    """The file's weights by a recipe, under the name of the recipe."""
    target = folder / f"SmolLM2-{name}.gguf"
    if target.exists():
        return target
    file, reader = read_model(source), gguf.GGUFReader(str(source))
    kinds = recipe(name, [(tensor.name, tensor.shape) for tensor in file.tensors], layout_of(file))
    writer = gguf.GGUFWriter(str(target), file.architecture)
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key in {"general.architecture", "general.file_type"}:
            continue
        element = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(key, field.contents(), field.types[0], element)
    writer.add_file_type(next(number for number, (known, _) in FILE_TYPES.items() if known == name))
    for tensor in file.tensors:
        values, kind = decoded(tensor), kinds.get(tensor.name, "F32")
        if kind == "F32":
            writer.add_tensor(tensor.name, values)
            continue
        rows = quantized(np.ascontiguousarray(values.reshape(-1, values.shape[-1])), kind)
        writer.add_tensor(
            tensor.name, rows.reshape(*values.shape[:-1], -1), raw_dtype=gguf.GGMLQuantizationType(TYPES[kind][0])
        )
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    return target


def run(request: Request, places: Places):
    """The scorecard of a comparison."""
    steps = compare(request, places, Stop())
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def rows_of(card, model: str, expected: list[str]) -> list[dict[str, object]]:
    """One row per candidate: verdict, what is right, and the distances behind it."""
    rows = []
    for one, right in zip(card.candidates, expected, strict=True):
        band, kl = one.evidence.band, one.evidence.check("kl_ref_cand")
        rows.append(
            {
                "model": model,
                "file": one.evidence.label,
                "claim": one.evidence.claim,
                "outcome": str(one.verdict.outcome),
                "cause": str(one.verdict.cause or ""),
                "right": right,
                "kl": kl.value if kl else None,
                "ratio": band.ratio if band else None,
                "low": band.low if band else None,
                "high": band.high if band else None,
            }
        )
    return rows


def main() -> None:
    places = Places.default()
    if "--again" in sys.argv:
        folder = places.results / sys.argv[-1]
        card = build_scorecard(Journal.open(folder.parent, folder.name))
        stored(rows_of(card, "SmolLM2-135M", [right for _, _, right in SOLD]))
        return
    for line in build_demo_reference(places.cache, None):
        print(line)
    folder = places.cache / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        suite = str(cut_core(Path(scratch) / "suite"))
        wanted = [(f"gguf:{make(demo_gguf(places.cache), kind, folder)}", claim) for kind, claim, _ in SOLD]
        request = Request(
            reference=str(demo_reference(places.cache)),
            candidates=tuple(Candidate(*pair) for pair in wanted),
            suite=suite,
            runtime=Runtime(threads=1),
            ladder=(),
        )
        rows = rows_of(run(request, places), "SmolLM2-135M", [right for _, _, right in SOLD])
        stored(rows)
        if "--without-gemma" not in sys.argv:
            stored(rows + gemma(places, texts_only(Path(suite))))


def stored(rows: list[dict[str, object]]) -> None:
    """Write what was measured so far."""
    wrong = [row for row in rows if row["outcome"] != row["right"]]
    write("gguf_kquants", rows, {"reference": "the fp32 of a published 4-bit file", "wrong": len(wrong)})


def gemma(places: Places, suite: Path) -> list[dict[str, object]]:
    """The second real model: bf16, four bits, and the published file itself."""
    base = gemma_reference(places.cache)
    wanted = [(f"dtype:bf16:{base}", "bf16"), (f"rtn:4:{base}", "bf16"), (f"gguf:{gemma_gguf(places.cache)}", "")]
    request = Request(
        reference=str(base),
        candidates=tuple(Candidate(*pair) for pair in wanted),
        suite=str(suite),
        runtime=Runtime(threads=1),
        ladder=(),
    )
    return rows_of(run(request, places), "gemma-3-270m", ["WITHIN", "BEYOND", "WITHIN"])


def texts_only(suite: Path) -> Path:
    """The suite without conversations: the second model has no template."""
    items = suite / "items.jsonl"
    items.write_text("".join(line + "\n" for line in items.read_text().splitlines() if '"text"' in line))
    return suite


if __name__ == "__main__":
    main()

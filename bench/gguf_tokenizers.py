"""GGUF vocabularies as we read them, held against llama.cpp's own golden ids.

    make bench-gguf

llama.cpp's sources hold vocabularies without weights, each with texts and the ids that its tokenizer makes of them. A
vocabulary whose pre-tokenizer is not known here is not compared; one that transformers cannot open is not read.
"""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"

from _corpora import llamacpp_models
from _table import write

from harness.config import Places
from harness.errors import FidelityError
from harness.targets.checkpoint.tokenization import load_tokenizer
from harness.targets.spec import TargetSpec

_BETWEEN = "\n__ggml_vocab_test__\n"


def golden(path) -> list[tuple[str, list[int]]]:
    """Texts and their ids."""
    texts = path.with_name(path.name + ".inp").read_bytes().decode().split(_BETWEEN)
    lines = path.with_name(path.name + ".out").read_text().split("\n")
    return [(text, [int(i) for i in line.split()]) for text, line in zip(texts, lines, strict=False)]


def main() -> None:
    rows = []
    for path in sorted(llamacpp_models(Places.default().cache).glob("*.gguf")):
        name = path.stem.removeprefix("ggml-vocab-")
        if not path.with_name(path.name + ".inp").exists():
            continue
        row = {"vocabulary": name, "status": "compared", "texts": 0, "other_ids": 0}
        try:
            tokenizer = load_tokenizer(TargetSpec("gguf", "", str(path)))
        except (FidelityError, Exception) as error:
            rows.append(row | {"status": f"not opened by transformers ({type(error).__name__})"})
            continue
        pairs = golden(path)
        other = sum(tokenizer.backend_tokenizer.encode(t, add_special_tokens=False).ids != ids for t, ids in pairs)
        status = "compared" if tokenizer.is_faithful else "left aside: pre-tokenizer not known"
        rows.append(row | {"status": status, "texts": len(pairs), "other_ids": other})
        print(rows[-1])
    compared = [row for row in rows if row["status"] == "compared"]
    facts = {
        "vocabularies_compared": len(compared),
        "texts": sum(row["texts"] for row in compared),
        "texts_with_other_ids": sum(row["other_ids"] for row in compared),
    }
    write("gguf_tokenizers", rows, facts)
    print(facts)


if __name__ == "__main__":
    main()

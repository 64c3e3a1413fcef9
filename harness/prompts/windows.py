"""The window convention of llama.cpp's perplexity tool, so that numbers can be held against its published tables."""

from __future__ import annotations

from harness.prompts.sequences import Sequence


def perplexity_windows(ids: list[int], window: int, limit: int | None, bos: int | None) -> list[Sequence]:
    """Cut ids into disjoint windows and score the second half of each.

    As llama.cpp does: ``window - 1 - window // 2`` positions per window, the first token of a window overwritten by
    BOS only where the tokenizer adds one (``bos`` is None otherwise), an incomplete last window dropped.
    """
    sequences: list[Sequence] = []
    count = len(ids) // window
    for index in range(count if limit is None else min(count, limit)):
        part = list(ids[index * window : (index + 1) * window])
        if bos is not None:
            part[0] = bos
        name = f"window-{index:05d}"
        sequences.append(Sequence(name, "text", name, tuple(part), (0,) * window, window // 2, window - 1))
    return sequences

"""Replies written token by token, most probable first or drawn, until a stop; runs in the isolated process only."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.suites.requests import Writing, Written
from harness.targets.checkpoint.loading import Loaded

_SLACK = 4  # tokens of the tail beyond a stop's own: tokens do not end where stops do


@dataclass(frozen=True, slots=True)
class Prompt:
    """The ids that a reply is written after, and how many were left out before them."""

    ids: list[int]
    cut: int


def write_replies(
    loaded: Loaded,
    tokenizer: Any,
    asked: Sequence[Writing],
    prompts: Sequence[Prompt],
    seed: int,
    *,
    marks: bool = False,
) -> list[Written]:
    """One reply per request; all run together, padded on the left, and must want the same limit and temperature.

    ``marks`` keeps special tokens in the text, for what is read from them.

    The checkpoint's own generation settings are set aside but for its stop ids, so that targets differ by their weights alone.
    """
    from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList  # noqa: PLC0415

    model = loaded.model
    declared = _declared(model, tokenizer)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else min(declared, default=0)
    longest = max(len(prompt.ids) for prompt in prompts)
    ids = torch.tensor([[pad] * (longest - len(one.ids)) + one.ids for one in prompts], device=model.device)
    mask = torch.tensor([[0] * (longest - len(one.ids)) + [1] * len(one.ids) for one in prompts], device=model.device)
    drawn = asked[0].temperature > 0
    settings = GenerationConfig(
        do_sample=drawn,
        max_new_tokens=asked[0].limit,
        pad_token_id=pad,
        eos_token_id=sorted(declared) or None,
        **({"temperature": asked[0].temperature, "top_k": 0, "top_p": 1.0} if drawn else {}),
    )
    torch.manual_seed(zlib.crc32(" ".join([str(seed), *(one.key for one in asked)]).encode()))  # repeats are drawn anew
    stops, margins = _Stops(tokenizer, [one.until for one in asked], longest), _Margins()
    model.generation_config = GenerationConfig(eos_token_id=sorted(declared) or None)
    with torch.inference_mode():
        out = model.generate(
            input_ids=ids,
            attention_mask=mask,
            generation_config=settings,
            stopping_criteria=StoppingCriteriaList([stops]),
            logits_processor=LogitsProcessorList([margins]),
        )
    new, sure = out[:, longest:], margins.rows()
    added = tokenizer.get_added_vocab()
    return [
        _written(
            tokenizer, new[row].tolist(), sure[row], one, declared | {int(added[stop]) for stop in one.until if stop in added},
            prompts[row].cut,
            marks=marks,
        )
        for row, one in enumerate(asked)
    ]  # fmt: skip


def _declared(model: Any, tokenizer: Any) -> set[int]:
    """Ids that end every reply: those of the generation settings and the tokenizer's own."""
    declared = model.generation_config.eos_token_id
    found = {declared} if isinstance(declared, int) else set(declared or ())
    return found | ({tokenizer.eos_token_id} if tokenizer.eos_token_id is not None else set())


class _Margins:
    """Notes how sure the model was of every token, and changes nothing."""

    def __init__(self) -> None:
        self._steps: list[Tensor] = []

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        top = scores.float().softmax(-1).topk(2, -1).values
        self._steps.append((top[:, 0] - top[:, 1]).cpu())
        return scores

    def rows(self) -> Tensor:
        """``[replies, tokens]``; NaN where the model's numbers are none."""
        return torch.stack(self._steps, 1)


class _Stops:
    """Rows whose newest tokens spell a stop are done."""

    def __init__(self, tokenizer: Any, stops: Sequence[tuple[str, ...]], start: int) -> None:
        self._tokenizer, self._stops, self._start = tokenizer, stops, start
        longest = [len(tokenizer(stop, add_special_tokens=False)["input_ids"]) for one in stops for stop in one]
        self._tail = max(longest, default=0) + _SLACK
        self._done = [False] * len(stops)

    def __call__(self, ids: Tensor, scores: object, **kwargs: object) -> Tensor:
        tails = ids[:, max(self._start, ids.shape[1] - self._tail) :]
        for row, stops in enumerate(self._stops):
            if stops and not self._done[row]:
                text = self._tokenizer.decode(tails[row], skip_special_tokens=False)
                self._done[row] = any(stop in text for stop in stops)
        return torch.tensor(self._done, device=ids.device)


def _written(
    tokenizer: Any, ids: list[int], margins: Tensor, asked: Writing, ends: set[int], cut: int, *, marks: bool
) -> Written:
    """The text up to the first stop, and what is known of each of its tokens; lost where the model's numbers are none."""
    ended = next((place for place, token in enumerate(ids) if token in ends), None)
    ids = ids[:ended]
    stops = [stop for stop in asked.until if stop]
    text, upto = "", []
    for count in range(1, len(ids) + 1):
        text = tokenizer.decode(ids[:count], skip_special_tokens=not marks, clean_up_tokenization_spaces=False)
        upto.append(len(text))
        if any(stop in text for stop in stops):
            break
    found = [text.find(stop) for stop in stops if stop in text]
    end = min(found, default=len(text))
    kept = max(sum(1 for place in upto if place <= end), 1)
    if not bool(torch.isfinite(margins[:kept]).all()):
        return Written(lost="the model's probabilities are not finite", cut=cut)
    stopped = bool(found) or ended is not None or len(ids) < asked.limit
    return Written(
        text=text[:end],
        finish="stop" if stopped else "length",
        tokens=len(upto),
        margins=tuple(round(float(one), 6) for one in margins[:kept]),
        ends=tuple(upto[:kept]),
        cut=cut,
    )

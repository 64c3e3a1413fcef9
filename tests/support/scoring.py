"""A host that scores what it is shown, as vLLM does: real weights, answers in the shape that a real one was recorded to send."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from tests.support.hosts import Asked, Reply, pass_on


def scoring(checkpoint: Path, base: str, rounding: Callable[[object], object] | None = None) -> Callable[..., Reply]:
    """Answers ``prompt_logprobs`` from a checkpoint's own weights; everything else is passed on to ``base``."""
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    if rounding:
        rounding(model)

    def answer(asked: Asked, _: object) -> Reply:
        count = asked.body.get("prompt_logprobs")
        if asked.body.get("echo"):  # the probe: a text of its own, scored at every place
            logs = {"tokens": ["a"] * 6, "token_logprobs": [None, *[-1.0] * 5]}
            return 200, {}, json.dumps({"choices": [{"text": "", "logprobs": logs}]}).encode()
        if not count:
            return pass_on(base.removesuffix("/v1"), asked)
        ids = asked.body["prompt"]
        with torch.no_grad():
            logs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        places: list[dict[str, object] | None] = [None]
        for row, own in zip(logs, ids[1:], strict=False):
            top = row.topk(count)
            listed = dict(zip(top.indices.tolist(), top.values.tolist(), strict=True)) | {own: float(row[own])}
            places.append({str(one): {"logprob": value} for one, value in listed.items()})
        body = {"choices": [{"text": "", "prompt_logprobs": places}], "usage": {"prompt_tokens": len(ids)}}
        return 200, {}, json.dumps(body).encode()

    return answer

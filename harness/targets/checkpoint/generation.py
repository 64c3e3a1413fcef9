"""Replies sampled from a checkpoint; runs in the isolated process only."""

from __future__ import annotations

import torch

from harness.targets.checkpoint.loading import Loaded


def sample_replies(
    loaded: Loaded, prompts: list[list[int]], limits: list[int], seed: int, pad: int, at_once: int, vocabulary: int
) -> list[list[int]]:
    """Sample one reply per prompt at temperature 1 from the full distribution over the tokenizer's ``vocabulary``.

    The checkpoint's own generation settings are set aside (top-p or a repetition penalty would change what is
    sampled from); its stop ids are kept. Prompts are padded on the left and run ``at_once`` at a time, seeded per group,
    so that the result depends on nothing but weights, prompts, seed, groups and arithmetic. A stop token stays in its
    reply.
    """
    from transformers import GenerationConfig  # noqa: PLC0415

    model = loaded.model
    beyond = list(range(vocabulary, loaded.vocabulary)) or None  # rows of the embedding that stand for no token
    stops = model.generation_config.eos_token_id
    model.generation_config = GenerationConfig(eos_token_id=stops)
    replies: list[list[int]] = []
    for start in range(0, len(prompts), at_once):
        group = prompts[start : start + at_once]
        caps = limits[start : start + at_once]
        longest = max(len(prompt) for prompt in group)
        ids = torch.tensor([[pad] * (longest - len(prompt)) + prompt for prompt in group], device=model.device)
        mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in group])
        settings = GenerationConfig(
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            max_new_tokens=max(caps),
            pad_token_id=pad,
            eos_token_id=stops,
            suppress_tokens=beyond,
        )
        torch.manual_seed(seed + start)
        with torch.inference_mode():
            out = model.generate(
                input_ids=ids,
                attention_mask=mask.to(model.device),
                generation_config=settings,
            )
        for row, cap in zip(out[:, longest:].tolist(), caps, strict=True):
            replies.append(_until_stop(row[:cap], stops))
    return replies


def _until_stop(reply: list[int], stops: int | list[int] | None) -> list[int]:
    ends = {stops} if isinstance(stops, int) else set(stops or ())
    for position, token in enumerate(reply):
        if token in ends:
            return reply[: position + 1]
    return reply

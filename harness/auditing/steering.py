"""Which fields of a logged request steer what is written: honoured, neutral, without effect on the text, or refused by name.

A field that is not known is refused: a reply that something else steered cannot be held against the model alone.
"""

from __future__ import annotations

from typing import Any

from harness.targets.sampler import Sampler

Fields = dict[str, Any]

#: Fields that change nothing of what is sampled: what the request is about, transport, bookkeeping of clients and routers.
_WITHOUT_EFFECT = frozenset({
    # honoured elsewhere: they make the prompt, the limit, the seed and the sampler
    "messages", "tools", "chat_template_kwargs", "max_tokens", "max_completion_tokens", "max_new_tokens", "n_predict", "seed",
    "temperature", "top_p", "model",
    # what comes back beside the text
    "stream", "stream_options", "logprobs", "top_logprobs", "return_token_ids", "return_tokens_as_token_ids", "return_tokens",
    "prompt_logprobs", "n_probs", "usage", "include_usage", "include_reasoning", "timings_per_token", "return_progress",
    "separate_reasoning", "stream_reasoning", "reasoning_format",
    # who asks, and what for
    "user", "metadata", "store", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "service_tier", "tags",
    "trace", "trace_id", "request_id", "rid", "session_id", "id", "created", "timestamp", "object", "end_user", "litellm_call_id",
    "litellm_metadata", "litellm_params", "proxy_server_request", "call_type", "custom_id", "method", "url",
    # routes and transport; who answered is told by the answer itself
    "provider", "route", "models", "fallbacks", "custom_llm_provider", "api_base", "base_url", "api_version", "api_key",
    "organization", "headers", "extra_headers", "extra_query", "timeout", "request_timeout", "stream_timeout", "max_retries",
    "num_retries", "drop_params", "allowed_openai_params", "caching", "cache", "no-log", "priority", "cache_prompt",
    "cache_salt", "id_slot", "debug", "verbose", "data_collection",
})  # fmt: skip
#: Fields that steer, and the values with which they do not.
_NEUTRAL: dict[str, tuple[object, ...]] = {
    "top_k": (0, -1), "min_p": (0,), "top_a": (0,), "typical_p": (1,), "tfs_z": (1,), "epsilon_cutoff": (0,), "eta_cutoff": (0,),
    "repetition_penalty": (1,), "repeat_penalty": (1,), "presence_penalty": (0,), "frequency_penalty": (0,),
    "length_penalty": (1,),
    "no_repeat_ngram_size": (0,), "dry_multiplier": (0,), "xtc_probability": (0,), "dynatemp_range": (0,), "mirostat": (0,),
    "smoothing_factor": (0,), "n": (1,), "best_of": (1,), "num_beams": (1,), "use_beam_search": (False,), "stop": ([], ""),
    "stop_token_ids": ([],), "bad_words": ([],), "logit_bias": ({}, []), "response_format": ({"type": "text"},),
    "modalities": (["text"],), "ignore_eos": (False,), "min_tokens": (0,), "echo": (False,), "add_generation_prompt": (True,),
    "continue_final_message": (False,), "skip_special_tokens": (True,), "spaces_between_special_tokens": (True, False),
    "include_stop_str_in_output": (False,), "add_special_tokens": (False,), "transforms": ([],), "plugins": ([],),
    "functions": ([],), "reasoning": ({},), "thinking": ({},), "do_sample": (True,), "grammar": ("",), "json_schema": ({},),
    "logits_processors": ([],), "lora": ([],), "documents": ([],), "allowed_token_ids": ([],), "truncate_prompt_tokens": (-1,),
}  # fmt: skip
#: Fields that mean nothing where no tools are offered.
_OF_TOOLS: dict[str, tuple[object, ...]] = {
    "tool_choice": ("auto",),
    "parallel_tool_calls": (True,),
    "function_call": ("auto",),
}
#: Parts of a cut-off or a penalty that is off, and nothing by themselves.
_PARTS = {
    "mirostat": ("mirostat_tau", "mirostat_eta"), "xtc_probability": ("xtc_threshold",), "dynatemp_range": ("dynatemp_exponent",),
    "dry_multiplier": ("dry_base", "dry_allowed_length", "dry_penalty_last_n", "dry_sequence_breakers"),
}  # fmt: skip
#: What a request must say before its host counts as told to add nothing of its own to sampling.
_TOLD = (("top_k",), ("min_p",), ("repetition_penalty", "repeat_penalty"))
_LIMITS = ("max_completion_tokens", "max_tokens", "max_new_tokens", "n_predict")


def unsteered(request: Fields, sampler: Sampler, beside: frozenset[str] = frozenset()) -> None:
    """Raise ValueError for a request that asked for another sampler, or whose reply something steered; says which field.

    What a request does not say is the default, and null is the same as not said. ``beside`` are fields that are no part of it.
    """
    claimed = sampler.fields()
    for name, value in claimed.items():
        asked = request.get(name)
        asked = (1.0 if name in {"temperature", "top_p"} else None) if asked is None else asked
        if isinstance(asked, bool) or asked != value:
            raise ValueError(
                f"asked for {name} {asked}, and not {value}: pass --sampler, or leave such requests out of the log"
            )
    idle = {part for name, parts in _PARTS.items() if not request.get(name) for part in parts}
    for name, value in request.items():
        if value is None or name in _WITHOUT_EFFECT or name in claimed or name in idle or name in beside:
            continue
        known = _NEUTRAL.get(name, ())
        if name in _OF_TOOLS and (not request.get("tools") or value in _OF_TOOLS[name]):
            continue
        if not any(value == one for one in known):
            raise ValueError(f"{name} steers what is written; such a reply cannot be held against the model alone")


def told_neutral(request: Fields) -> bool:
    """Whether the host was told to add no cut-off and no penalty of its own; nulls tell nothing."""
    return all(any(request.get(name) is not None for name in names) for names in _TOLD)


def limit_of(request: Fields) -> int | None:
    """Tokens that were asked for at most, where the request says."""
    found = [request[name] for name in _LIMITS if type(request.get(name)) is int and request[name] > 0]
    return found[0] if found else None

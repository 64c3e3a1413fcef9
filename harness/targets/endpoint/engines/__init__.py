"""Engines that can be asked for the prompt itself, each in its own words."""

from __future__ import annotations

from harness.targets.endpoint.client import Client
from harness.targets.endpoint.engines.llamacpp import LlamaCpp
from harness.targets.endpoint.engines.model import Engine, ServedPrompt
from harness.targets.endpoint.engines.ollama import Ollama
from harness.targets.endpoint.engines.sglang import SGLang
from harness.targets.endpoint.engines.tgi import TextGenerationInference
from harness.targets.endpoint.engines.vllm import VLLM

#: In the order of asking: the first ones answer on paths that no other engine has.
ENGINES: tuple[type[Engine], ...] = (LlamaCpp, Ollama, SGLang, TextGenerationInference, VLLM)


def recognise(client: Client) -> Engine | None:
    """The engine behind an endpoint, if it shows its own pages; at most one request each."""
    for engine in ENGINES:
        found = engine.recognise(client)
        if found is not None:
            return found
    return None


__all__ = ["ENGINES", "Engine", "ServedPrompt", "recognise"]

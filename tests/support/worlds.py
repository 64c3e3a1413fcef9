"""Small worlds whose distributions are known: tokens are drawn afresh, so that a null hypothesis is exactly true."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.evidence.sequential.ratios import TokenRatios


@dataclass(frozen=True)
class World:
    """Contexts with a distribution per configuration: ``logs`` is ``[configurations, contexts, ids]``; the first is p_0."""

    names: tuple[str, ...]
    logs: np.ndarray

    def distribution(self, name: str) -> np.ndarray:
        """Probabilities of one configuration, ``[contexts, ids]``."""
        return np.exp(self.logs[self.names.index(name)])

    def divergence(self, name: str, base: str = "p") -> float:
        """Mean KL(name || base) per token."""
        q, p = self.logs[self.names.index(name)], self.logs[self.names.index(base)]
        return float((np.exp(q) * (q - p)).sum(-1).mean())

    def tempered(self, power: float) -> World:
        """The same world sampled at another temperature, 1 / ``power``."""
        z = self.logs * power
        return World(self.names, z - np.logaddexp.reduce(z, axis=-1, keepdims=True))

    def draw(
        self, rng: np.random.Generator, served: np.ndarray, requests: int, length: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Contexts at random and tokens from ``served`` (``[requests, contexts, ids]`` or ``[contexts, ids]``)."""
        contexts = rng.integers(0, self.logs.shape[1], requests * length)
        request = np.repeat(np.arange(requests), length)
        chosen = served[contexts] if served.ndim == 2 else served[request, contexts]
        tokens = (chosen.cumsum(-1) > rng.random(len(chosen))[:, None]).argmax(-1)
        return contexts, tokens

    def ratios(self, contexts, tokens, requests: int, members, honest=("p",), lost=()) -> TokenRatios:
        """Log ratios of drawn tokens, ``len(tokens) / requests`` per request."""
        values = self.logs[:, contexts, tokens]
        values = values - values[0]
        picked = [self.names.index(name) for name in members]
        null = [self.names.index(name) for name in honest]
        return TokenRatios(
            requests=requests,
            request=np.repeat(np.arange(requests), len(tokens) // requests),
            members=values[picked].T,
            honest=values[null].T[:, None, :],
            lost=lost,
        )


def make_world(seed: int = 1, contexts: int = 40, ids: int = 60) -> World:
    """p, an honest neighbour h, a near alternative a (8-bit like), a far one b (4-bit like), an unlisted relative c of b."""
    rng = np.random.default_rng(seed)
    base = rng.gumbel(size=(contexts, ids)) * 2.0
    noise = {name: rng.normal(size=base.shape) for name in "habc"}
    logits = {
        "p": base,
        "h": base + 0.02 * noise["h"],
        "a": base + 0.15 * noise["a"],
        "b": base + 0.8 * noise["b"],
        "c": base + 0.3 * noise["b"] + 1.2 * noise["c"],
        "cold": base / 0.8,
    }
    logs = np.stack([z - np.logaddexp.reduce(z, axis=-1, keepdims=True) for z in logits.values()])
    return World(tuple(logits), logs)

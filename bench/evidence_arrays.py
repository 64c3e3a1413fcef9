"""Next-token distributions of every configuration on replies of every server: what the evidence studies draw from.

For each server (an honest one, quantized ones, faulty prompts, other samplers) a few replies are sampled; on every context
of these replies the audible distribution of every configuration is kept on a coarsened alphabet: the reference's 512 most
likely ids one by one, the rest in 64 lumps by the reference's order; and the probability of falling silent. Merging ids
keeps distributions, so that every martingale stays one; divergences fall a little, and both figures are kept. Tokens drawn
from these arrays are fresh.

Building takes about half an hour on two cores; the arrays (about 1 GB) are kept in the cache.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
TOP, LUMPS = 512, 64
REQUESTS, TOKENS = 20, 64
BANK = {
    "fp32": "", "bf16": "dtype:bf16:", "bf16-eager": "dtype:bf16:", "fp16": "dtype:fp16:",
    "int8": "bnb:int8:", "fp8": "fp8:", "Q8_0": "ggufq:Q8_0:", "Q5_0": "ggufq:Q5_0:", "Q4_0": "ggufq:Q4_0:",
    "nf4": "bnb:nf4:", "rtn4": "rtn:4g64:", "rtn3": "rtn:3g64:", "kv8": "kv:e4m3:", "kv4": "kv:q4_0-unrotated:",
    "no-system": "", "no-generation": "", "other": "",
}  # fmt: skip
FAULTS = {"no-system": "chatml-fallback", "no-generation": "no-generation-prompt"}
SAMPLERS = {
    "T0.7": (0.7, 1.0), "T0.8": (0.8, 1.0), "T0.9": (0.9, 1.0), "T0.95": (0.95, 1.0), "T1.05": (1.05, 1.0),
    "T1.1": (1.1, 1.0), "T1.25": (1.25, 1.0), "p0.9": (1.0, 0.9), "p0.95": (1.0, 0.95),
}  # fmt: skip
SERVERS = (
    "fp32", "bf16", "int8", "fp8", "nf4", "rtn4", "rtn3", "Q8_0", "Q4_0", "kv8", "no-system", "no-generation", "T0.7", "p0.9",
    "other",
)  # fmt: skip
CONFIGURATIONS = (*BANK, *SAMPLERS)
HONEST = ("bf16", "bf16-eager", "fp16")


@dataclass(frozen=True)
class Study:
    """The arrays: ``logs`` is ``[configurations, contexts, symbols]``; contexts know their server, request and position."""

    logs: np.ndarray
    server: np.ndarray
    request: np.ndarray
    position: np.ndarray
    quiet: np.ndarray  # log-probability of a silent token, [configurations, contexts]
    kl: np.ndarray  # KL(configuration || reference) over the whole vocabulary, [configurations, contexts]
    chi2: np.ndarray  # on the honest server's contexts, [configurations, honest contexts]
    beta: np.ndarray  # E_h[q/p - 1] of the honest configurations HONEST, [honest, configurations, honest contexts]

    def of(self, server: str) -> np.ndarray:
        """The contexts of one server's replies."""
        return np.flatnonzero(self.server == SERVERS.index(server))


def folder() -> Path:
    """Where the arrays are."""
    from harness.config import Places

    return Places.default().cache / "evidence-arrays-2"


def load_study() -> Study:
    """The arrays, built where they are missing."""
    if not (folder() / "facts.json").exists():
        build()
    parts = (np.load(folder() / f"{name}.npy") for name in ("contexts", "quiet", "kl", "chi2", "beta"))
    return Study(np.load(folder() / "logs.npy", mmap_mode="r"), *next(parts), *parts)


def model_of(name: str, reference: str):
    """One configuration in memory, in fp32 arithmetic unless it is an honest other one."""
    from harness.targets.checkpoint.loading import load
    from harness.targets.spec import Runtime, parse_spec

    attention = "eager" if name == "bf16-eager" else "auto"
    runtime = Runtime(dtype="auto" if BANK[name].startswith("dtype:") else "fp32", attention=attention, threads=2)
    loaded = load(parse_spec(BANK[name] + reference, runtime))
    if name == "other":  # a smaller sibling: two layers fewer
        del loaded.model.model.layers[-3:-1]
        for place, layer in enumerate(loaded.model.model.layers):
            layer.self_attn.layer_idx = place
        loaded.model.config.num_hidden_layers -= 2
    return loaded


def prompts_of(reference: str) -> dict[str, list[tuple[int, ...]]]:
    """The prompts of every server's questions, sound and under each fault."""
    from harness.config import Places
    from harness.prompting.evidence import family_of
    from harness.prompts.faults import fault
    from harness.prompts.jinja.process import PromptProcess
    from harness.prompts.questions import draw_questions
    from harness.prompts.variants import Bench
    from harness.targets.prompt_source import open_prompt_source

    source = open_prompt_source(reference, Places.default().cache)
    questions = draw_questions(REQUESTS * len(SERVERS), "evidence study")
    with PromptProcess() as process:
        bench = Bench(process, family_of(source), source.tokenizer)
        made = {"": bench.prompts(questions)} | {n: bench.prompts(questions, [fault(f)]) for n, f in FAULTS.items()}
    return {name: [prompt.ids for prompt in prompts] for name, prompts in made.items()}


def sample(loaded, prompts, sampler, seed, silent):
    """Replies of one server, up to and with the first silent token."""
    import torch
    from transformers import GenerationConfig

    temperature, top_p = sampler
    replies = []
    for start in range(0, len(prompts), 10):
        group = prompts[start : start + 10]
        longest = max(map(len, group))
        ids = torch.tensor([[0] * (longest - len(p)) + list(p) for p in group])
        mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in group])
        torch.manual_seed(seed + start)
        settings = GenerationConfig(do_sample=True, temperature=temperature, top_p=top_p, top_k=0, max_new_tokens=TOKENS,
                                    pad_token_id=0, eos_token_id=2)  # fmt: skip
        loaded.model.generation_config = GenerationConfig(eos_token_id=2)
        with torch.inference_mode():
            out = loaded.model.generate(input_ids=ids, attention_mask=mask, generation_config=settings)
        for row in out[:, longest:].tolist():
            end = next((k for k, token in enumerate(row) if silent[token]), len(row))
            replies.append(tuple(row[: end + 1]))
    return replies


class Builder:
    """What is known while the arrays grow: replies, where they lie, the reference's states, the coarsened alphabet."""

    def __init__(self, reference: str, silent: np.ndarray) -> None:
        import torch

        self.reference, self.silent, self.quiet = reference, silent, torch.from_numpy(silent)
        self.prompts = prompts_of(reference)
        self.started = time.time()
        self.replies: dict[str, list[tuple[int, ...]]] = {}

    def tell(self, text: str) -> None:
        print(f"{time.time() - self.started:6.0f} s  {text}", flush=True)

    def sample_all(self) -> None:
        """Replies of every server, and arrays of the right size."""
        for at, server in enumerate(SERVERS):
            asked = self.prompts.get(server, self.prompts[""])[at * REQUESTS : (at + 1) * REQUESTS]
            loaded = model_of(server if server in BANK else "fp32", self.reference)
            self.replies[server] = sample(loaded, asked, SAMPLERS.get(server, (1.0, 1.0)), 100 * at, self.silent)
            self.tell(f"replies of {server}: {sum(map(len, self.replies[server]))} tokens")
        base = self.sequences("")
        starts = np.concatenate([[0], np.cumsum([s.scored for s in base])])
        self.where = {s.key: int(start) for s, start in zip(base, starts, strict=False)}
        self.total = int(starts[-1])
        self.place = np.zeros((3, self.total), dtype=np.int32)
        for s in base:
            span = slice(self.where[s.key], self.where[s.key] + s.scored)
            self.place[:2, span] = np.array([[int(s.key[:2])], [int(s.key[3:])]])
            self.place[2, span] = np.arange(s.scored)
        self.honest = int((self.place[0] == 0).sum())  # contexts of the honest server come first
        ids = len(self.silent)
        self.logs = opened("logs", np.float32, (len(CONFIGURATIONS), self.total, TOP + LUMPS))
        self.lump = opened("lump.tmp", np.uint8, (self.total, ids))
        self.whole = opened("whole.tmp", np.float32, (len(HONEST), self.honest, ids))
        self.ids = np.zeros((self.total, TOP), dtype=np.int32)
        self.silence = np.zeros((len(CONFIGURATIONS), self.total), dtype=np.float32)
        self.kl = np.zeros((len(CONFIGURATIONS), self.total))
        self.chi2 = np.zeros((len(CONFIGURATIONS), self.honest))
        self.beta = np.zeros((len(HONEST), len(CONFIGURATIONS), self.honest))

    def sequences(self, name: str):
        """Every reply behind the prompts that a configuration gives it."""
        from harness.prompts.sequences import reply_sequence

        asked = self.prompts.get(name, self.prompts[""])
        found = []
        for at, server in enumerate(SERVERS):
            for r, reply in enumerate(self.replies[server]):
                prompt = asked[at * REQUESTS + r]
                if reply:
                    found.append(reply_sequence(f"{at:02d}-{r:02d}", "", "", prompt, (0,) * len(prompt), reply))
        return found

    def audible(self, head, hidden):
        """Audible log-probabilities of hidden states, fp32, and the log-probability of all silent ids together."""
        z = head.logits(hidden)[:, : len(self.silent)].log_softmax(-1)
        silence = z[:, self.quiet].logsumexp(-1).numpy()
        z[:, self.quiet] = -1e30
        return z.log_softmax(-1), silence

    def score(self, number: int, name: str) -> None:
        """One configuration on every context."""
        import torch

        from harness.targets.batches import Batch, group
        from harness.targets.checkpoint.scoring import hidden_states

        loaded = model_of(name, self.reference)
        if name == "fp32":
            self.head, self.hidden = loaded.head, torch.zeros(self.total, loaded.head.weight.shape[1])
        with torch.inference_mode():
            for batch in group(self.sequences(name), 8):
                rows = np.concatenate([np.arange(self.where[s.key], self.where[s.key] + s.scored) for s in batch])
                states = hidden_states(loaded, Batch.of(batch)).float()
                for start in range(0, len(rows), 32):
                    part, at = states[start : start + 32], rows[start : start + 32]
                    if name == "fp32":
                        self.hidden[at] = part
                    log_q, self.silence[number, at] = self.audible(loaded.head, part)
                    self.keep(number, name, log_q, at)
        self.tell(name)

    def keep(self, number: int, name: str, log_q, rows: np.ndarray) -> None:
        """One tile of one configuration."""
        if name == "fp32":
            self.name_symbols(log_q, rows)
            log_p = log_q
            for k, sampler in enumerate(SAMPLERS.values(), len(BANK)):
                drawn = under(log_p, *sampler)
                self.logs[k, rows] = self.coarse(drawn, rows)
                self.kl[k, rows] = divergence(drawn, log_p)
                self.silence[k, rows] = self.silence[
                    number, rows
                ]  # how samplers move the ends of replies is not studied
        else:
            log_p, _ = self.audible(self.head, self.hidden[rows])
        self.logs[number, rows] = self.coarse(log_q, rows)
        self.kl[number, rows] = divergence(log_q, log_p)
        inside = rows < self.honest
        if name in HONEST:
            self.whole[HONEST.index(name), rows[inside]] = log_q.numpy()[inside]
        elif inside.any() and name != "fp32":
            p = log_p.double().exp().numpy()[inside]
            excess = (log_q - log_p).double().clamp(-60, 60).expm1().numpy()[inside]
            self.chi2[number, rows[inside]] = (p * excess**2).sum(-1)
            for h in range(len(HONEST)):
                served = np.exp(self.whole[h, rows[inside]].astype(np.float64))
                self.beta[h, number, rows[inside]] = (served * excess).sum(-1)

    def name_symbols(self, log_p, rows: np.ndarray) -> None:
        """The coarsened alphabet of each context: the likeliest ids, and lumps of the rest by falling probability."""
        import torch

        ranked = log_p.argsort(-1, descending=True)
        self.ids[rows] = ranked[:, :TOP].numpy()
        rest = ranked.shape[1] - TOP
        slots = (1 + torch.arange(rest) * LUMPS // rest).expand(len(rows), -1)
        self.lump[rows] = torch.zeros_like(ranked).scatter_(1, ranked[:, TOP:], slots).numpy().astype(np.uint8)

    def coarse(self, log_p, rows: np.ndarray) -> np.ndarray:
        """Log-probabilities on the coarsened alphabet."""
        import torch

        groups = torch.from_numpy(np.ascontiguousarray(self.lump[rows])).long()
        lumps = torch.zeros(len(rows), LUMPS + 1).scatter_add_(1, groups, log_p.exp())[:, 1:]
        top = log_p.gather(1, torch.from_numpy(self.ids[rows]).long())
        return torch.cat([top, lumps.clamp(min=1e-37).log()], 1).numpy()

    def finish(self) -> None:
        """Write everything down."""
        out = folder()
        np.save(out / "contexts.npy", self.place)
        np.save(out / "quiet.npy", self.silence)
        np.save(out / "kl.npy", self.kl)
        np.save(out / "chi2.npy", self.chi2)
        np.save(out / "beta.npy", self.beta)
        self.logs.flush()
        for name in ("lump", "whole"):
            (out / f"{name}.tmp.npy").unlink()
        (out / "facts.json").write_text(json.dumps({"seconds": time.time() - self.started, "tokens": self.total}))


def under(log_p, temperature: float, top_p: float):
    """A distribution under another sampler; what is cut off keeps a probability of e^-87."""
    import torch

    drawn = (log_p / temperature).log_softmax(-1)
    if top_p == 1.0:
        return drawn
    ordered, order = drawn.exp().sort(-1, descending=True)
    kept = torch.zeros_like(order, dtype=torch.bool).scatter_(1, order, (ordered.cumsum(-1) - ordered) < top_p)
    return torch.where(kept, drawn, -87.0 + torch.zeros_like(drawn)).log_softmax(-1)


def divergence(log_q, log_p) -> np.ndarray:
    """KL(q || p) per context, over the whole vocabulary."""
    return (log_q.exp() * (log_q - log_p).clamp(-80, 80)).double().sum(-1).numpy()


def opened(name: str, kind: type, shape: tuple[int, ...]) -> np.ndarray:
    """An array on disk, all zeros."""
    return np.lib.format.open_memmap(folder() / f"{name}.npy", "w+", kind, shape)


def build() -> None:
    """Build and keep the arrays."""
    from harness.config import Places
    from harness.targets.checkpoint.tokenization import load_tokenizer, silent_ids
    from harness.targets.demo_model import build_demo_reference, demo_reference
    from harness.targets.spec import parse_spec

    cache = Places.default().cache
    for _ in build_demo_reference(cache, None):
        pass
    reference = str(demo_reference(cache))
    folder().mkdir(parents=True, exist_ok=True)
    builder = Builder(reference, silent_ids(load_tokenizer(parse_spec(reference))))
    builder.sample_all()
    for number, name in enumerate(BANK):
        builder.score(number, name)
    builder.finish()


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    load_study()

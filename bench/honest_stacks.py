"""How honest stacks that no null holds lean towards alternatives, over the whole vocabulary; best run on a GPU.

Rule 2 grants every server the share s = 0.25 of the way from the reference towards a member. That covers an honest stack h
only if beta = E_h[q/p - 1] / chi2(q, p) stays below s; for a member at part strength u the same is asked of its drift,
E_h[log((1 + u x) / (1 + s u x))], x = q/p - 1, which must not be positive. Replies are sampled by the reference in fp32;
every distribution is taken on all of their contexts, by prefill in batches, in batches of one, and token by token with a
cache as a server decodes. Requests are the unit of the intervals.

    python bench/honest_stacks.py REFERENCE [DEVICE] [REQUESTS]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _table import write
from evidence_arrays import prompts_of

from harness.evidence.clustered import mean_interval
from harness.evidence.sequential.bank import STRENGTHS, TOLERANCE
from harness.prompts.sequences import reply_sequence
from harness.targets.batches import Batch, group
from harness.targets.checkpoint.generation import sample_replies
from harness.targets.checkpoint.loading import load
from harness.targets.checkpoint.scoring import hidden_states
from harness.targets.checkpoint.tokenization import load_tokenizer, silent_ids
from harness.targets.spec import Runtime, parse_spec

TOKENS = 64
#: name -> number format, attention, sequences per batch (0: token by token with a cache), TF32
STACKS = {
    "fp32, TF32": ("fp32", "sdpa", 8, True), "bf16, sdpa": ("bf16", "sdpa", 8, False),
    "bf16, sdpa, batch 1": ("bf16", "sdpa", 1, False), "bf16, sdpa, decoded": ("bf16", "sdpa", 0, False),
    "bf16, eager": ("bf16", "eager", 8, False), "fp16, sdpa": ("fp16", "sdpa", 8, False),
    "fp16, sdpa, decoded": ("fp16", "sdpa", 0, False),
}  # fmt: skip
ALTERNATIVES = (
    "rtn:8g128",
    "ggufq:Q8_0",
    "kv:e4m3",
    "fp8",
    "kv:q4_0-unrotated",
    "ggufq:Q5_0",
    "ggufq:Q4_0",
    "rtn:4g128",
    "rtn:3g64",
)
NEAR = frozenset({"rtn:8g128", "ggufq:Q8_0", "kv:e4m3", "fp8"})


class Contexts:
    """Replies of the reference, and distributions on all of their contexts."""

    def __init__(self, reference: str, device: str, requests: int) -> None:
        self.reference, self.device = reference, device
        self.silent = torch.from_numpy(silent_ids(load_tokenizer(parse_spec(reference)))).to(device)
        prompts = [list(ids) for ids in prompts_of(reference)[""][:requests]]
        loaded = self.load("", "fp32", "sdpa")
        replies = sample_replies(loaded, prompts, [TOKENS] * requests, 7, 0, 64)
        self.sequences = [
            reply_sequence(f"{k:04d}", "", "", prompt, (0,) * len(prompt), reply)
            for k, (prompt, reply) in enumerate(zip(prompts, replies, strict=True))
        ]
        ends = np.cumsum([0, *(s.scored for s in self.sequences)])
        self.rows = {s.key: slice(a, b) for s, a, b in zip(self.sequences, ends, ends[1:], strict=False)}
        self.request = np.repeat(np.arange(requests), np.diff(ends))
        self.p = self.distribution(loaded, 8)

    def load(self, change: str, dtype: str, attention: str):
        spec = f"{change}:{self.reference}" if change else self.reference
        runtime = Runtime(device=self.device, dtype=dtype, attention="auto" if change.startswith("kv") else attention)
        return load(parse_spec(spec, runtime))

    def distribution(self, loaded, size: int) -> torch.Tensor:
        """Audible log-probabilities, ``[contexts, ids]`` fp32."""
        found = torch.empty(len(self.request), len(self.silent), device=self.device)
        with torch.inference_mode():
            for batch in group(self.sequences, size or 32):
                states = hidden_states(loaded, Batch.of(batch)) if size else decoded(loaded, batch)
                start = 0
                for sequence in batch:
                    part = loaded.head.logits(states[start : start + sequence.scored].float()).clone()
                    part = part[:, : len(self.silent)]
                    part[:, self.silent] = -1e30
                    found[self.rows[sequence.key]] = part.log_softmax(-1)
                    start += sequence.scored
        return found


def decoded(loaded, batch) -> torch.Tensor:
    """Final hidden states of the scored positions as a server makes them: the prompt at once, then one token at a time."""
    model, found = loaded.model.model, []
    for sequence in batch:
        ids = torch.tensor([sequence.ids], device=loaded.model.device)
        out = model(input_ids=ids[:, : sequence.first + 1], use_cache=True)
        states = [out.last_hidden_state[:, -1]]
        for t in range(sequence.first + 1, sequence.end):
            out = model(input_ids=ids[:, t : t + 1], past_key_values=out.past_key_values, use_cache=True)
            states.append(out.last_hidden_state[:, -1])
        found.append(torch.cat(states))
    return torch.cat(found)


def over_rows(count: int, reduce) -> list[np.ndarray]:
    """Per-context numbers, a few hundred contexts at a time."""
    parts = [reduce(slice(start, start + 256)) for start in range(0, count, 256)]
    return [torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True)]


def lean(contexts: Contexts, stacks: dict[str, torch.Tensor], change: str, q: torch.Tensor) -> list[dict[str, object]]:
    """One alternative against every stack."""
    p = contexts.p

    def facts(rows: slice):
        x = (q[rows] - p[rows]).double().clamp(-60, 60).expm1()
        mine = p[rows].double().exp()
        gap = (q[rows] - p[rows]).double().clamp(-60, 60)
        return [(mine * x * x).sum(-1), (q[rows].double().exp() * gap).sum(-1)]

    chi2, kl = over_rows(len(p), facts)
    found = []
    for name, h in stacks.items():

        def leaning(rows: slice, h=h):
            x = (q[rows] - p[rows]).double().clamp(-60, 60).expm1()
            served = h[rows].double().exp()
            steps = [
                (served * (torch.log1p(u * (1 - 1e-6) * x) - torch.log1p(TOLERANCE * u * (1 - 1e-6) * x))).sum(-1)
                for u in STRENGTHS
            ]
            return [(served * x).sum(-1), *steps]

        beta, *drifts = over_rows(len(p), leaning)
        interval = mean_interval(beta, contexts.request)
        entering = drifts if change not in NEAR else drifts[:1]
        found.append(
            {"alternative": change, "kl": float(f"{kl.mean():.4g}"), "honest": name,
             "beta": float(f"{interval.value / chi2.mean():.3g}"), "upper": float(f"{interval.high / chi2.mean():.3g}")}
            | {f"drift_{u:g}": float(f"{d.mean():.3g}") for u, d in zip(STRENGTHS, drifts, strict=True)}
            | {"worst_drift_of_members": float(f"{max(d.mean() for d in entering):.3g}")}
        )  # fmt: skip
    return found


def main() -> None:
    reference, device = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "cpu"
    requests = int(sys.argv[3]) if len(sys.argv) > 3 else 48
    started = time.monotonic()
    torch.backends.cuda.matmul.allow_tf32 = False
    contexts = Contexts(reference, device, requests)
    stacks, sizes = {}, {}
    for name, (dtype, attention, size, tf32) in STACKS.items():
        if device == "cpu" and (tf32 or dtype == "fp16"):
            continue
        torch.backends.cuda.matmul.allow_tf32 = tf32
        stacks[name] = contexts.distribution(contexts.load("", dtype, attention), size)
        torch.backends.cuda.matmul.allow_tf32 = False
        gap = over_rows(
            len(contexts.p),
            lambda rows, h=stacks[name]: [(h[rows].double().exp() * (h[rows] - contexts.p[rows])).sum(-1)],
        )[0]
        sizes[name] = float(f"{gap.mean():.3g}")
        print(f"{time.monotonic() - started:.0f} s  {name}: KL to the reference {sizes[name]}", flush=True)
    rows = []
    for change in ALTERNATIVES:
        rows += lean(contexts, stacks, change, contexts.distribution(contexts.load(change, "fp32", "sdpa"), 8))
        print(f"{time.monotonic() - started:.0f} s  {change}", flush=True)
    name = torch.cuda.get_device_name() if device.startswith("cuda") else "cpu"
    write("honest_stacks", rows, {
        "device": name, "torch": torch.__version__, "requests": requests, "contexts": len(contexts.request),
        "tolerance": TOLERANCE, "kl_to_reference": sizes,
        "largest_upper_below_0.05_nat": max((r["upper"] for r in rows if r["kl"] < 0.05), default=None),
        "largest_drift_of_members": max(r["worst_drift_of_members"] for r in rows),
    })  # fmt: skip


if __name__ == "__main__":
    main()

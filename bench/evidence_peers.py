"""Published tests beside the bank, on fresh tokens of the same contexts; tokens until each finds a server, alpha 0.01.

Same access (sampled text, no seed): Model Equality Testing (squared maximum mean discrepancy with the Hamming kernel,
permutations within prompts; Gao, Liang and Guestrin 2024), the rank-based uniformity test (randomised rank of the mean
log rank among 100 local replies, Cramer-von Mises; Zhu et al. 2025), and the conditional z of surprisal, which is that
idea without local sampling noise. All three are given what they would not have in the field: local replies that continue
the *same* contexts, so that a first difference does not hide the rest, and one look at the right number of tokens, no
sequential price. Each test's size is set by fresh honest audits where that helps it (never above alpha).

Other access, in a table of their own: one-token log-probability tracking (needs log-probabilities; Chauvin et al. 2025)
and seeded replay (needs the seed and the sampler's code; Karvonen et al. 2025). Their thresholds are the 99 % quantile of
honest hosts (bf16 and fp16, two attention kernels) at the same number of tokens.

A test's tokens are the smallest on a grid of factor sqrt(2) at which it finds half, or 95 %, of the audits.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _fresh import LOG_RANK, Audits
from _table import RESULTS, write
from evidence_arrays import HONEST, load_study
from scipy.stats import cramervonmises

ALPHA, RUNS, PERMUTATIONS, LOCAL = 0.01, 200, 299, 100
SERVERS = ("int8", "fp8", "nf4")
MOST = 60_000  # tokens up to which a peer is tried
KEPT = 4000  # replies per prompt that local samples are taken from


class Replies:
    """Whole replies of a server and of the reference, fresh at every context, by prompt."""

    def __init__(self, audits: Audits, server: str, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.lengths = [len(span) for span in audits.spans]
        self.of = {
            name: [
                audits.symbols(name, np.tile(span, KEPT), rng.random(KEPT * len(span))).reshape(KEPT, len(span))
                for span in audits.spans
            ]
            for name in {server, "fp32"}
        }
        self.scores = {name: [LOG_RANK[r].mean(1) for r in replies] for name, replies in self.of.items()}

    def design(self, tokens: int) -> tuple[int, int]:
        """Prompts, and replies to each, that make about so many tokens: five replies to a prompt before the next."""
        requests = round(tokens / np.mean(self.lengths))
        prompts = max(min(requests // 5, len(self.lengths)), 1)
        return prompts, requests // prompts


def equality(replies: Replies, server: str, tokens: int, rng) -> bool:
    """One audit by maximum mean discrepancy: as many local replies as served ones, permuted within prompts."""
    prompts, count = replies.design(tokens)
    observed, drawn = 0.0, np.zeros(PERMUTATIONS)
    if count < 2:
        return False
    side = np.concatenate([np.ones(count), np.zeros(count)])
    orders = np.stack([side, *(rng.permuted(side) for _ in range(PERMUTATIONS))])
    for prompt in rng.choice(len(replies.lengths), prompts, replace=False):
        served, local = replies.of[server][prompt], replies.of["fp32"][prompt]
        pool = np.concatenate([pick(served, count, rng), pick(local, count, rng)])
        gram = np.zeros((len(pool), len(pool)))
        for column in pool.T:
            gram += column[:, None] == column[None, :]
        np.fill_diagonal(gram, 0.0)
        gram /= pool.shape[1]
        inside = ((orders @ gram) * orders).sum(1)
        other = 1.0 - orders
        outside = ((other @ gram) * other).sum(1)
        across = gram.sum() - inside - outside
        pairs = count * (count - 1)
        values = inside / pairs + outside / pairs - across / count**2
        observed += values[0]
        drawn += values[1:]
    return (1 + (drawn >= observed - 1e-12).sum()) / (PERMUTATIONS + 1) <= ALPHA


def uniformity(replies: Replies, server: str, tokens: int, rng) -> bool:
    """One audit by the rank-based uniformity test."""
    count = max(round(tokens / np.mean(replies.lengths)), 1)
    if count < 2:
        return False
    prompts = rng.integers(len(replies.lengths), size=count)
    ranks = np.empty(count)
    for k, prompt in enumerate(prompts):
        ours = replies.scores[server][prompt][rng.integers(KEPT)]
        local = replies.scores["fp32"][prompt][rng.integers(KEPT, size=LOCAL)]
        ranks[k] = ((ours > local).sum() + rng.random() * (ours == local).sum()) / LOCAL
    return cramervonmises(ranks, "uniform").pvalue <= ALPHA


def pick(replies: np.ndarray, count: int, rng) -> np.ndarray:
    """Some replies; each audit is drawn anew from thousands of fresh ones."""
    return replies[rng.choice(len(replies), count, replace=count > len(replies))]


def surprisal(audits: Audits, server: str) -> Callable[[int, np.random.Generator], bool]:
    """An audit by the conditional z of surprisal, two-sided."""
    p = audits.table("fp32")
    mean = -(np.exp(p) * p).sum(-1)
    spread = (np.exp(p) * p**2).sum(-1) - mean**2

    def audit(tokens: int, rng) -> bool:
        drawn = audits.draw(rng, tokens, [server])
        place, symbol = drawn.place, drawn.symbol
        z = (-p[place, symbol] - mean[place]).sum() / math.sqrt(spread[place].sum())
        return abs(z) >= 2.576

    return audit


def tracked(audits: Audits, name: str) -> np.ndarray:
    """Mean absolute difference of the reference's 20 largest log-probabilities, per context."""
    return np.abs(audits.table(name) - audits.table("fp32"))[:, :20].mean(1)


def replayed(audits: Audits, name: str, rng) -> np.ndarray:
    """Margins of seeded replay: how far the served token is from the one that the reference draws with the same noise."""
    found = []
    for _ in range(30):
        noise = rng.gumbel(size=audits.table("fp32").shape)
        ours = audits.table("fp32") + noise
        token = (audits.table(name) + noise).argmax(1)
        found.append(np.minimum(ours.max(1) - ours[np.arange(len(token)), token], 5.0))
    return np.concatenate(found)


def against_honest(served: np.ndarray, honest: list[np.ndarray]) -> Callable[[int, np.random.Generator], bool]:
    """An audit by a mean of per-token scores, over the 99 % quantile of the worst honest host's at the same count."""
    bars: dict[int, float] = {}

    def audit(tokens: int, rng) -> bool:
        if tokens not in bars:
            bars[tokens] = max(
                float(np.quantile([h[rng.integers(len(h), size=tokens)].mean() for _ in range(2000)], 1 - ALPHA))
                for h in honest
            )
        return served[rng.integers(len(served), size=tokens)].mean() > bars[tokens]

    return audit


def needed(audit: Callable[[int, np.random.Generator], bool], runs: int, start: float) -> dict[str, object]:
    """Tokens at which an audit finds half and 95 % of the servers, with the power there; None beyond the largest tried."""
    rng = np.random.default_rng(3)
    found: dict[str, object] = {"half": None, "most": None}
    tokens = start
    while tokens <= MOST and found["most"] is None:
        power = np.mean([audit(round(tokens), rng) for _ in range(runs)])
        for name, share in (("half", 0.5), ("most", 0.95)):
            if power >= share and found[name] is None:
                found[name] = round(tokens)
        found["power_at_most_tokens"] = float(power)
        tokens *= math.sqrt(2)
    return found


def main() -> None:
    study = load_study()
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    ours = {row["server"]: row for row in json.loads((RESULTS / "tokens_to_detection.json").read_text())["rows"]}
    rows = []
    for server in SERVERS:
        audits = Audits(study, server)
        replies = Replies(audits, server, 1)
        rng = np.random.default_rng(2)
        margins = [replayed(audits, name, rng) for name in (server, *HONEST)]
        tests = {
            "Model Equality Testing": ("text", lambda n, g, r=replies, s=server: equality(r, s, n, g)),
            "rank-based uniformity": ("text", lambda n, g, r=replies, s=server: uniformity(r, s, n, g)),
            "conditional z of surprisal": ("text", surprisal(audits, server)),
            "one-token log-probabilities": (
                "log-probabilities",
                against_honest(tracked(audits, server), [tracked(audits, name) for name in HONEST]),
            ),
            "seeded replay": ("seed", against_honest(margins[0], margins[1:])),
        }
        bank = ours[server]
        for name, (access, audit) in tests.items():
            started = time.monotonic()
            start = 90.0 if access == "text" else 1.0
            found = needed(audit, runs, start)
            row = {"server": server, "test": name, "access": access, "bank_median": bank["tokens_median"],
                   "bank_p95": bank["tokens_p95"], **found}  # fmt: skip
            for mine, theirs in (("bank_median", "half"), ("bank_p95", "most")):
                row[f"times_{theirs}"] = round((found[theirs] or MOST) / row[mine], 1)
                row[f"at_least_{theirs}"] = found[theirs] is None
            print(row, f"{time.monotonic() - started:.0f} s", flush=True)
            rows.append(row)
    write("evidence_peers", rows, {"alpha": ALPHA, "runs": runs, "most_tokens": MOST})


if __name__ == "__main__":
    main()

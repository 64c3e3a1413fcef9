"""What a reply without ids must be charged, ln E_p[q/p of the text cut anew], from the reference's replies or the member's own.

Rule 12 asks for at least 2,000 replies of the reference. Under the reference, though, q/p over a whole reply hangs on
replies that it hardly ever writes, so that the mean over thousands is far off for anything but a near member. Drawing from
the member and weighing back gives the same expectation with a weight of 1 for every reply that is cut as it was written.

from_reference: mean over the reference's replies; from_member: 1 + mean of (weight - 1) over the member's replies that are
cut otherwise (with the cap an upper bound of the mean); each without and with the cap of e^6 per reply. Standard errors
beside: what they say of a mean whose weight lies in replies that were never drawn is not to be believed. charge: what an audit
would charge from so many of the member's replies, in nats per reply; gain: what the member gains per reply, uncapped.

    python bench/recut_charge.py REFERENCE [DEVICE] [DRAWS] [MEMBER,MEMBER,...]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _table import write
from evidence_arrays import FAULTS, prompts_of

from harness.auditing.scorable import until_silent
from harness.evidence.sequential.recut import MOST_PER_REPLY, recut_charge
from harness.prompts.sequences import reply_sequence
from harness.targets.batches import Batch, group
from harness.targets.checkpoint.generation import sample_replies
from harness.targets.checkpoint.loading import load
from harness.targets.checkpoint.scoring import hidden_states
from harness.targets.checkpoint.tokenization import load_tokenizer, recut, silent_ids
from harness.targets.spec import Runtime, parse_spec

TOKENS, AT_ONCE = 64, 64
MEMBERS = ("rtn:8g128", "ggufq:Q8_0", "fp8", "ggufq:Q5_0", "ggufq:Q4_0", "rtn:4g128", "no-system")


class Scorer:
    """One model at a time; log-likelihoods of replies, audible tokens and ends apart."""

    def __init__(self, reference: str, device: str, draws: int) -> None:
        self.reference, self.device, self.draws = reference, device, draws
        self.tokenizer = load_tokenizer(parse_spec(reference))
        self.silent = silent_ids(self.tokenizer)
        self.quiet = torch.from_numpy(self.silent).to(device)
        made = prompts_of(reference)
        self.prompts = {name: [made[name][k % len(made[name])] for k in range(draws)] for name in ("", *FAULTS)}

    def model(self, name: str):
        spec = self.reference if name in {"", *FAULTS} else f"{name}:{self.reference}"
        return load(parse_spec(spec, Runtime(device=self.device, dtype="fp32")))

    def prompts_for(self, name: str):
        return self.prompts[name if name in FAULTS else ""]

    def replies(self, loaded, name: str, seed: int):
        """Written ids and ids of the text cut anew, both up to the first silent one."""
        asked = [list(p) for p in self.prompts_for(name)]
        written = sample_replies(loaded, asked, [TOKENS] * self.draws, seed, 0, 500)
        texts = self.tokenizer.batch_decode(written, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        nothing = (int(np.flatnonzero(self.silent)[0]),)
        heard = [until_silent(tuple(ids), self.silent) or nothing for ids in written]
        cut = [until_silent(tuple(recut(self.tokenizer, text)), self.silent) or nothing for text in texts]
        return heard, cut

    def likelihoods(self, loaded, name: str, replies) -> np.ndarray:
        """Log-likelihoods of the audible tokens and of where they end, ``[replies, 2]``."""
        sequences = [
            reply_sequence(f"{k:06d}", "", "", prompt, (0,) * len(prompt), ids)
            for k, (prompt, ids) in enumerate(zip(self.prompts_for(name), replies, strict=True))
        ]
        found = np.zeros((len(replies), 2))
        with torch.inference_mode():
            for batch in group(sequences, AT_ONCE):
                packed = Batch.of(batch)
                labels = torch.from_numpy(packed.labels()).to(self.device)
                z = loaded.head.logits(hidden_states(loaded, packed).float())[:, : len(self.quiet)].log_softmax(-1)
                silence = z[:, self.quiet].logsumexp(-1).double()
                audible = torch.log1p(-silence.exp().clamp(max=1 - 1e-12))
                said = ~self.quiet[labels]
                own = z.gather(1, labels[:, None])[:, 0].double()
                tokens = torch.where(said, own - audible, 0.0).cpu().numpy()
                ends = torch.where(said, audible, silence).cpu().numpy()
                start = 0
                for sequence in batch:
                    part = slice(start, start + sequence.scored)
                    found[int(sequence.key)] = tokens[part].sum(), ends[part].sum()
                    start += sequence.scored
        return found


def spoken(ids, silent):
    return ids[:-1] if silent[ids[-1]] else ids


def mean_and_error(values: np.ndarray) -> str:
    return f"{values.mean():.4g} ± {values.std(ddof=1) / np.sqrt(len(values)):.2g}"


def main() -> None:
    reference, device = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "cpu"
    draws = int(sys.argv[3]) if len(sys.argv) > 3 else 2000
    members = tuple(sys.argv[4].split(",")) if len(sys.argv) > 4 else MEMBERS
    torch.backends.cuda.matmul.allow_tf32 = False
    started = time.monotonic()
    scorer = Scorer(reference, device, draws)
    base = scorer.model("")
    own, own_cut = scorer.replies(base, "", 1)
    p_cut = scorer.likelihoods(base, "", own_cut)
    moved_own = np.array(
        [spoken(a, scorer.silent) != spoken(b, scorer.silent) for a, b in zip(own, own_cut, strict=True)]
    )
    rows = []
    for k, name in enumerate(members):
        member = scorer.model(name)
        written, cut = scorer.replies(member, name, 1000 + 10 * k)
        q_cut, q_written, q_rewritten = (scorer.likelihoods(member, name, ids) for ids in (own_cut, written, cut))
        del member
        p_written, p_rewritten = (scorer.likelihoods(base, "", ids) for ids in (written, cut))
        with np.errstate(over="ignore"):
            plain = np.exp(q_cut[:, 0] - p_cut[:, 0])
            capped = np.minimum(plain, np.exp(MOST_PER_REPLY))
        moved = np.array(
            [spoken(a, scorer.silent) != spoken(b, scorer.silent) for a, b in zip(written, cut, strict=True)]
        )
        gains = q_written - p_written
        lead = (q_rewritten - p_rewritten)[:, 0]
        shift = np.minimum(lead, MOST_PER_REPLY) - gains[:, 0]
        weights, uncapped = (
            1.0 + np.where(moved, np.expm1(one) * np.exp(-gains[:, 1]), 0.0) for one in (shift, lead - gains[:, 0])
        )
        charges = {
            f"charge_{n}": float(f"{float(recut_charge(shift[:n][moved[:n]], -gains[:n, 1][moved[:n]], n)):.3g}")
            for n in sorted({min(400, draws), draws})
        }
        rows.append({"member": name, "gain": float(f"{gains[:, 0].mean():.3g}"), "cut_otherwise": float(f"{moved.mean():.3g}"),
                     "from_reference": mean_and_error(plain), "from_reference_capped": mean_and_error(capped),
                     "from_member": mean_and_error(uncapped), "from_member_capped": mean_and_error(weights)}
                    | charges)  # fmt: skip
        print(f"{time.monotonic() - started:.0f} s  {rows[-1]}", flush=True)
    facts = {"device": device, "draws": draws, "reference_cut_otherwise": float(f"{moved_own.mean():.3g}")}
    write("recut_charge", rows, facts)


if __name__ == "__main__":
    main()

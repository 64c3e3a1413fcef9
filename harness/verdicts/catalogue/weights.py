"""Distributions and identity: what the weights say."""

from __future__ import annotations

from harness.verdicts.catalogue.model import Entry
from harness.verdicts.model import Cause

ENTRIES: dict[str, Entry] = {
    "DIST301": Entry(
        "further from the reference than its claim allows", "S3", None,
        "The mean KL divergence exceeds twice that of the widest honest configuration, with 97.5 % confidence.",
        "see the cause named in the verdict",
    ),
    "DIST302": Entry(
        "exactly zero everywhere", "S2", None,
        "Not one token differs. If this was meant to be a quantized model, the quantization never engaged; if both "
        "sides are the same file, nothing was tested.",
        "check that the candidate is what you meant to compare",
    ),
    "DIST303": Entry(
        "ids that the reference can emit are impossible", "S4", Cause.NUMERICS,
        "The candidate gives probability zero to ids that the reference can emit; the divergence is infinite there.",
        "look for masked logits, a cut vocabulary or an overflow",
    ),
    "DIST304": Entry(
        "logits are not finite", "S4", Cause.NUMERICS,
        "NaN or infinite logits. Such tokens are left out of every mean and fail the candidate.",
        "look for an overflow, most often fp16 activations",
    ),
    "DIST305": Entry(
        "one scalar explains most of the difference", "S3", Cause.NUMERICS,
        "Re-reading the candidate at another temperature removes over half of the divergence: a scale, softcap or "
        "sampler fault, not quantization.",
        "look for a logit scale, a softcap or a temperature that is applied twice or not at all",
    ),
    "DIST306": Entry(
        "probability on ids beyond the tokenizer", "S1", None,
        "Padded ids of the embedding carry more than a millionth of the probability.",
        "mask padded ids when sampling",
    ),
    "DIST307": Entry(
        "outside a bound that was set for it", "S3", None,
        "A gate of the policy failed: the near end of the number's interval lies beyond the bound, so that a candidate at the "
        "bound would fail with the policy's error rate at most.",
        "see the cause named in the verdict; 'fidelity gate RUN --gate EXPR' judges the same run by other bounds",
    ),
    "REPL401": Entry(
        "weights were moved without a grid", "S3", Cause.OTHER_MODEL,
        "The weights differ by small amounts that no rounding explains: trained further, merged or edited.",
        "name the model by what it is",
    ),
    "REPL402": Entry(
        "weights of another model", "S4", Cause.OTHER_MODEL,
        "Most matrices share next to nothing with the reference's.",
        "name the model by what it is",
    ),
}  # fmt: skip

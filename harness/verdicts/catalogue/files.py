"""What lies on disk."""

from __future__ import annotations

from harness.verdicts.catalogue.model import Entry
from harness.verdicts.model import Cause

ENTRIES: dict[str, Entry] = {
    "FILE101": Entry(
        "configuration that changes outputs differs", "S3", Cause.NUMERICS,
        "A field of config.json that enters the computation (sizes, rope, norms, attention window, softcap, experts) is "
        "not the reference's. The same weights then compute something else.",
        "copy config.json from the vendor's release, or explain the field",
    ),
    "FILE102": Entry(
        "the candidate declares a quantization", "S1", None,
        "The files say that the weights are quantized. Openly declared, this is a claim and not a fault.",
        "nothing, if the release is sold as quantized; otherwise pass --claim with what it is sold as",
    ),
    "FILE103": Entry(
        "stop ids differ", "S2", Cause.TEMPLATE,
        "The sets of ids that end generation differ. A missing one makes replies run on; an extra one cuts them short.",
        "copy generation_config.json and the eos_token_id of config.json from the vendor's release",
    ),
    "FILE104": Entry(
        "generation defaults differ", "S1", Cause.SAMPLING,
        "Default temperature, top-p, penalties or lengths differ; users who pass none get another sampler.",
        "copy generation_config.json from the vendor's release",
    ),
    "FILE105": Entry(
        "files of a complete release are missing", "S1", None,
        "The candidate lacks files that the reference has and that users need.",
        "copy the named files from the vendor's release",
    ),
    "FILE106": Entry(
        "the licence differs", "S1", None,
        "Declared licence or licence file is not the reference's. A derivative usually has to carry the original terms.",
        "restore the licence file and the license field of the model card",
    ),
    "FILE107": Entry(
        "weights are stored in another number format", "S0", None,
        "For example bf16 instead of fp32. Rounding to bf16 belongs to the honest band.",
        "nothing",
    ),
    "FILE114": Entry(
        "the header names another number format than the tensors have", "S2", Cause.QUANTIZATION,
        "A GGUF file says in general.file_type what it is quantized to; most of its tensors are of another type. The "
        "tensors are what is computed, so the file is judged by them.",
        "publish the file under the type of its tensors",
    ),
    "FILE115": Entry(
        "quantized with an importance matrix", "S0", None,
        "The file says that its weights were rounded with weights of importance per column. It then lies nearer to the "
        "reference than the same types without one, by which its claim is rebuilt unless --imatrix is given: such a file "
        "is beyond its claim only if it lies farther than a plain build.",
        "give the published file with --imatrix, for a claim that is rebuilt exactly",
    ),
    "FILE116": Entry(
        "the reference is itself quantized", "S0", None,
        "The reference is a GGUF file of fewer than 16 bits. What is measured is the distance from it, not from the "
        "release that it was made from.",
        "nothing, if this is the best copy that you hold; otherwise give the release itself",
    ),
    "FILE201": Entry(
        "weights lie on a coarser grid", "S2", Cause.QUANTIZATION,
        "In most matrices the values sit on a quantization grid that the reference's do not sit on, whatever number "
        "format the file has.",
        "declare the quantization (--claim), or publish the unquantized weights",
    ),
    "FILE202": Entry(
        "some weights are damaged", "S4", Cause.NUMERICS,
        "A few tensors are zero or share little with the reference's, while the others agree.",
        "fetch or convert the named tensors again",
    ),
    "FILE203": Entry(
        "weights differ by one constant factor", "S3", Cause.NUMERICS,
        "Every changed tensor is the reference's times a constant: a scale was applied twice or not at all.",
        "look for a scale folded into a norm or head during conversion",
    ),
}  # fmt: skip

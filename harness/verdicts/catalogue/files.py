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
    "FILE108": Entry(
        "the configuration names code of its own", "S1", None,
        "config.json names classes to be fetched and run (auto_map). They are never run here: the library knows the "
        "architecture itself, and its own classes read the weights.",
        "nothing, if the library's own architecture is the release's; take auto_map out of config.json to be sure",
    ),
    "FILE109": Entry(
        "files beside the weights were left out", "S1", None,
        "Adapters (LoRA), weight files that the index does not list, or pickles lie beside the weights. They are not part of "
        "the model that was judged, whatever packages are installed.",
        "remove them, or merge an adapter that is meant into the weights",
    ),
    "FILE110": Entry(
        "declared rounding of activations was not applied", "S1", None,
        "The files say that inputs of layers are rounded when served (W8A8, FP8, NVFP4). The weights were dequantized and "
        "judged alone, so what a host serves may be further from the reference.",
        "serve it and compare the host (http://HOST:PORT/v1#MODEL) to judge weights and activations together",
    ),
    "FILE111": Entry(
        "declared rounding of keys and values was not applied", "S1", None,
        "The files declare a quantized KV cache or carry its scales. Keys and values were kept as they are.",
        "serve it and compare the host, or compare kv:e4m3:REFERENCE to see what rounding them costs",
    ),
    "FILE112": Entry(
        "tensors of the files are not used", "S0", None,
        "Tables that the library computes itself, layers that predict further tokens, towers for images or sound, or heads "
        "for other tasks. They take no part in the next token of a text.",
        "nothing",
    ),
    "FILE113": Entry(
        "the quantization is declared beside config.json alone", "S1", None,
        "The file that declares it is one that some engines read and others do not; those read codes as if they were "
        "weights.",
        "add quantization_config to config.json",
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
    "FILE204": Entry(
        "weights written in another form", "S0", None,
        "The weights are not the reference's one by one (rotated, rescaled between layers, reordered, or moved by little), and "
        "the distribution that they compute is within the claim. A fact, and no charge.",
        "nothing; if the release should hold the vendor's own files, compare their digests",
    ),
}  # fmt: skip

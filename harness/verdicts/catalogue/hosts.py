"""What a host does with requests: protocol, parameters, cache, clipping."""

from __future__ import annotations

from harness.verdicts.catalogue.model import Entry
from harness.verdicts.model import Cause

ENTRIES: dict[str, Entry] = {
    "INTG501": Entry(
        "the host reports no token counts", "S1", None,
        "Answers carry no usage.prompt_tokens, so prompts cannot be compared by counting.",
        "ask the host for usage in its answers, or for an endpoint that shows prompts",
    ),
    "INTG502": Entry(
        "token counts are not repeatable", "S2", Cause.PROTOCOL,
        "The same request was billed with different prompt tokens. Several backends behind one name, text that changes "
        "from request to request, or a count that leaves out cached tokens: which one cannot be told from counts.",
        "ask the host whether requests go to different deployments",
    ),
    "INTG503": Entry(
        "tokens are counted with another tokenizer", "S2", None,
        "Texts of different kinds grow by other numbers of tokens than with the reference's tokenizer. A gateway may "
        "count with a tokenizer of its own, or the model is another one; counts alone cannot tell which.",
        "compare by an endpoint that shows prompts or log-probabilities",
    ),
    "INTG504": Entry(
        "the engine bills other prompts than it shows", "S3", Cause.PROTOCOL,
        "The prompt that the engine shows for a chat request has another length than the prompt that it bills for the "
        "same request. What it shows is then no evidence of what the model sees.",
        "run again with --access counts",
    ),
    "INTG505": Entry(
        "long prompts are cut", "S3", Cause.CLIPPING,
        "A long message is billed with far fewer tokens than it has, while short ones are billed right: the host cuts "
        "prompts without saying so.",
        "ask the host for its context length, and for an error instead of a silent cut",
    ),
    "INTG506": Entry(
        "questions are billed with other lengths than the reference's prompts", "S2", Cause.TEMPLATE,
        "The host bills another number of prompt tokens for the audit's own questions than the reference's template and "
        "tokenizer make of them: something is added or left out, or tokens are counted in another way.",
        "run fidelity template REFERENCE URL, which looks for the fault that explains it",
    ),
    "INTG507": Entry(
        "answers come under several names", "S2", Cause.PROTOCOL,
        "The name of the model in the answers, or that of the host behind a router, changes during the audit. Requests go to "
        "different deployments, and verdicts are about the mixture.",
        "pin the provider or deployment, and audit each on its own",
    ),
    "INTG508": Entry(
        "the system fingerprint changes", "S1", None,
        "The host says itself that its configuration is not the same for all requests. Allowed, and worth knowing: verdicts are "
        "about the mixture.",
        "pin the deployment if the host allows it",
    ),
    "INTG509": Entry(
        "bills do not add up", "S1", Cause.PROTOCOL,
        "usage.total_tokens is not the sum of prompt and completion tokens.",
        "ask the host what it bills",
    ),
    "INTG510": Entry(
        "markers leak into texts", "S2", Cause.PARSER,
        "Control tokens, tags of a parser, or raw byte-level pieces stand in replies to plain questions. The host does not take "
        "its model's output apart as the model's own format says. Models that write such things themselves look the same.",
        "look at the replies; compare with the reference's own at the same questions",
    ),
    "INTG511": Entry(
        "parameters are ignored without complaint", "S1", Cause.PROTOCOL,
        "The host takes these parameters with a success status, and they change nothing. Some are ignored because the model's "
        "template has no place for them.",
        "do not rely on them here; ask the host to refuse what it does not honour",
    ),
    "INTG512": Entry(
        "log-probabilities that are none", "S2", Cause.PROTOCOL,
        "What the host tells of some tokens cannot be a part of a distribution: values above 0, no numbers, or probabilities "
        "that sum to more than 1. Such places are left out of the comparison.",
        "ask the host what it sends; do not compute with its log-probabilities",
    ),
    "INTG513": Entry(
        "replies are not sampled as asked", "S3", Cause.SAMPLING,
        "The temperature changes nothing: draws at temperature 1 are all the same, or replies at temperature 0 all begin "
        "differently. Benchmarks and evaluations on this host are not what they say.",
        "ask the host whether it overrides sampling parameters or caches answers",
    ),
    "INTG514": Entry(
        "replies are cut short of max_tokens", "S3", Cause.CLIPPING,
        "A reply ends for its length long before the length that was asked for: the host has a cap of its own and does not say "
        "so.",
        "ask the host for its largest reply, and for an error where more is asked for",
    ),
    "INTG515": Entry(
        "the beginning of long prompts is not seen", "S3", Cause.CLIPPING,
        "Two long prompts that differ in a word at their beginning get the same log-probabilities, while shorter ones do not: "
        "what stands at the beginning never reaches the model.",
        "ask the host for its context length, and for an error instead of a silent cut",
    ),
    "INTG516": Entry(
        "streamed replies differ from whole ones", "S2", Cause.PROTOCOL,
        "At temperature 0 whole replies are the same every time, and streamed ones are others.",
        "compare the two texts; a gateway may lose or change pieces of a stream",
    ),
    "INTG517": Entry(
        "finish_reason does not say that a reply ran out of length", "S2", Cause.PROTOCOL,
        "Replies that end at the last token that was allowed are called complete. A client cannot tell a whole answer from half "
        "of one.",
        "compare usage.completion_tokens with max_tokens; ask the host to report length",
    ),
    "INTG518": Entry(
        "conversations are not answered as the reference's prompts are", "S1", None,
        "The host answers a conversation otherwise than the prompt that the reference makes of it, and no fault of the library "
        "reproduces that: another prompt, or another model behind one of the two forms.",
        "ask the host which template it uses and what it adds; audit it with --protocol completions for its weights alone",
    ),
    "INTG519": Entry(
        "answers name another model than was asked for", "S2", Cause.PROTOCOL,
        "The name of the model in the answers is not the one that the requests named, dates, owners and revisions aside. A "
        "router's fallback, an alias, or another model.",
        "ask the host which model answers to this name; compare with a reference of the model that it names",
    ),
    "INTG520": Entry(
        "replies are billed with more tokens than they hold", "S1", Cause.PROTOCOL,
        "usage.completion_tokens counts more tokens than the ids that came with the reply, an end of turn aside. Reasoning that "
        "is kept back, control tokens that are left out, or a bill that is too high.",
        "ask the host what it bills",
    ),
    "INTG521": Entry(
        "lines of the log repeat earlier ones", "S1", None,
        "A conversation, or a seed, came before in the file. The same chance decides both replies, and a store may have "
        "answered, so the first alone is weighed.",
        "log each question once; let the client draw a new seed for every request",
    ),
}  # fmt: skip

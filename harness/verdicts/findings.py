"""The catalogue of findings. Each code has a page in docs/findings, made from this table by ``make docs``."""

from __future__ import annotations

from dataclasses import dataclass

from harness.comparisons.model import Difference
from harness.verdicts.model import Cause, Finding, Severity


@dataclass(frozen=True, slots=True)
class Entry:
    """What a code means, how bad it is, what it points to and what to do about it."""

    title: str
    severity: Severity
    cause: Cause | None
    meaning: str
    fix: str


CATALOGUE: dict[str, Entry] = {
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
    "TOKN101": Entry(
        "the tokenizer's vocabulary differs", "S4", Cause.TOKENIZER,
        "The id tables are not the same, so equal ids are not equal words.",
        "take tokenizer.json from the vendor's release",
    ),
    "TOKN102": Entry(
        "plain text becomes other ids", "S4", Cause.TOKENIZER,
        "The same text is tokenised differently by both sides.",
        "take tokenizer.json and tokenizer_config.json from the vendor's release",
    ),
    "TOKN103": Entry(
        "embedding rows are permuted", "S4", Cause.TOKENIZER,
        "The embedding holds the reference's rows in another order, so ids mean other words to the weights than to the "
        "tokenizer.",
        "restore the order of the rows, or ship the tokenizer that belongs to it",
    ),
    "TOKN104": Entry(
        "special tokens or tokenizer rules differ", "S2", Cause.TOKENIZER,
        "Normalizer, pre-tokenizer, added tokens or the declared special tokens differ; see whether ids differ too.",
        "take the tokenizer files from the vendor's release",
    ),
    "TMPL101": Entry(
        "the chat template's text differs", "S1", Cause.TEMPLATE,
        "The template is another program. It may still render the same prompts; TMPL102 says whether it does.",
        "take chat_template.jinja from the vendor's release",
    ),
    "TMPL102": Entry(
        "conversations become other ids", "S3", Cause.TEMPLATE,
        "The same messages are turned into different prompts. The model is asked something else.",
        "run fidelity template on the two: it names the fault; then take chat_template.jinja from the vendor's release",
    ),
    "TMPL103": Entry(
        "the candidate has no chat template", "S3", Cause.TEMPLATE,
        "The reference ships a chat template, the candidate none; hosts will guess one.",
        "copy chat_template.jinja from the vendor's release",
    ),
    "TMPL104": Entry(
        "template and tokenizer are of different models", "S3", Cause.TEMPLATE,
        "A control word of the template is not one token of the tokenizer, so the model reads its letters.",
        "take template and tokenizer from the same release",
    ),
    "TMPL105": Entry(
        "one side does not render what the other renders", "S2", Cause.TEMPLATE,
        "A conversation that one template accepts makes the other raise an error or crash.",
        "take chat_template.jinja from the vendor's release",
    ),
    "TMPL106": Entry(
        "prompts differ by no known fault", "S2", Cause.TEMPLATE,
        "No fault of the library, alone or with another, turns the reference's prompts into the candidate's.",
        "look at the windows that the report shows; another revision of the template is the usual reason",
    ),
    "TMPL107": Entry(
        "prompts differ in whitespace only", "S1", Cause.TEMPLATE,
        "The words are the same, blanks or newlines are not. Ids usually differ.",
        "take chat_template.jinja from the vendor's release",
    ),
    "TMPL108": Entry(
        "the template reaches for what it must not touch", "S4", Cause.TEMPLATE,
        "The sandbox stopped the template at an attribute that leads out of it. A sound template never does that.",
        "do not use this release; report it to whoever hosts it",
    ),
    "TMPL109": Entry(
        "the template does not end", "S4", Cause.TEMPLATE,
        "Rendering hit a limit of time, memory or output on a short conversation.",
        "do not serve this template: one request would occupy a server",
    ),
    "TMPL110": Entry(
        "a fault of framing", "S3", Cause.TEMPLATE,
        "Begin of text, end of turns, the header of the reply or whitespace: the named fault reproduces every prompt.",
        "repair what the fault names; then run this again",
    ),
    "TMPL111": Entry(
        "another template is used", "S3", Cause.TEMPLATE,
        "A known fallback template reproduces every prompt.",
        "make the engine use the model's own chat_template.jinja",
    ),
    "TMPL112": Entry(
        "a fault of roles", "S3", Cause.TEMPLATE,
        "System prompts, turns or dates: the named fault reproduces every prompt.",
        "repair what the fault names; then run this again",
    ),
    "TMPL113": Entry(
        "a fault of tools", "S3", Cause.TEMPLATE,
        "Offers, calls or results: the named fault reproduces every prompt.",
        "repair what the fault names; then run this again",
    ),
    "TMPL114": Entry(
        "a fault of reasoning", "S3", Cause.TEMPLATE,
        "Earlier thoughts or the switch for thinking: the named fault reproduces every prompt.",
        "repair what the fault names; then run this again",
    ),
    "TMPL115": Entry(
        "the engine deviates on purpose", "S0", None,
        "The engine's documented rules are not those of the reference renderer. Whoever runs it has done nothing wrong; "
        "the model still sees another prompt than its makers' renderer would give it.",
        "nothing, unless the cost in KL matters to you; then send such requests in another form",
    ),
    "TMPL116": Entry(
        "the host refuses conversations that the reference renders", "S1", None,
        "Nothing was observed for them, so they count neither as equal nor as different.",
        "read the host's complaint; its request rules may be stricter than the template's",
    ),
    "TMPL117": Entry(
        "the host takes conversations that the reference does not render", "S1", None,
        "The reference has no prompt for them, so nothing can be held against the host's.",
        "do not send such conversations: what the model makes of them is nobody's promise",
    ),
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
        "answers come under several model names", "S2", Cause.PROTOCOL,
        "The name in the answers changes during the audit. Requests go to different deployments.",
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
    "TMPL120": Entry(
        "token counts differ by no known fault", "S1", None,
        "The host bills other numbers of prompt tokens than the reference's prompts have, and no fault of the library, "
        "alone or with another, reproduces them. A way of billing can look like this, too.",
        "look at the rows that the report shows; compare by an endpoint that shows prompts",
    ),
    "TOKN105": Entry(
        "added tokens differ", "S2", Cause.TOKENIZER,
        "Control words have other ids or other flags; the same text may become other ids around them.",
        "take tokenizer.json from the vendor's release",
    ),
    "TOKN106": Entry(
        "what ends a turn does not end a reply", "S3", Cause.TEMPLATE,
        "The control word after an assistant's turn is not among the stop ids, so replies run on.",
        "add its id to eos_token_id in generation_config.json",
    ),
    "TOKN107": Entry(
        "begin-of-text may stand twice", "S1", Cause.TEMPLATE,
        "Both template and tokenizer put a begin-of-text token. An engine that tokenises the rendered text as plain text "
        "sends two.",
        "tokenise rendered prompts without special tokens, or drop one of the two",
    ),
    "TOKN108": Entry(
        "the tokenizer was not compared", "S1", None,
        "A GGUF file names its pre-tokenizer by a word that is not known here. What engines make of it cannot be "
        "reproduced, so only rendered texts were compared.",
        "compare with the release's own tokenizer.json",
    ),
    "TOKN110": Entry(
        "a fault between text and ids", "S3", Cause.TOKENIZER,
        "Letters, line ends, control words or parts of messages: the named fault reproduces every prompt.",
        "repair what the fault names; then run this again",
    ),
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
    "TASK601": Entry(
        "answers get worse", "S3", None,
        "More items of a task go from right to wrong than the other way, beyond chance and beyond the number of tasks.",
        "look for the lowest layer that differs: template, parser, quantization; ask the items that were lost again",
    ),
    "TASK602": Entry(
        "answers change more than by arithmetic", "S1", None,
        "The answers to a task differ from the reference's more often than those of the reference in other arithmetic do. "
        "That is distance, with no sign: right answers may stay as many.",
        "compare the distributions (fidelity compare), which say how far and by what",
    ),
    "TASK603": Entry(
        "replies are cut before the limit", "S2", Cause.CLIPPING,
        "Replies end for their length though fewer tokens were written than were asked for: they are cut, not worse.",
        "raise the host's own limit, or tell its users of it",
    ),
    "TASK604": Entry(
        "a metric cannot fail on these items", "S1", None,
        "Answers that were made to fail were all counted as right, or answers that were made to pass all as wrong. Such a metric "
        "proves nothing and takes no part in the verdict.",
        "mend the scorer or the targets of the task",
    ),
    "TASK605": Entry(
        "items without an answer", "S2", Cause.INFRASTRUCTURE,
        "The candidate gave no answer to items that the reference answered. They count neither as right nor as wrong, and a "
        "clearing allows for all of them having got worse.",
        "see the reasons in the stored answers; ask again",
    ),
    "TASK607": Entry(
        "prompts lose their beginning", "S3", Cause.CLIPPING,
        "Prompts that fit into the reference's context do not fit into the candidate's, and lose their beginning. Such items "
        "are not compared; a clearing allows for all of them having got worse.",
        "serve the context that the release states (max_position_embeddings, rope settings)",
    ),
    "TASK606": Entry(
        "replies run to the limit of tokens", "S2", None,
        "Many more of the candidate's replies than of the reference's end only because the limit was reached: it does not stop "
        "where the reference stops.",
        "compare stop ids and template (fidelity template); weights that are damaged run on, too",
    ),
}  # fmt: skip


def entry(code: str) -> Entry:
    """The catalogue entry of a code."""
    return CATALOGUE[code]


def file_findings(differences: list[Difference]) -> list[Finding]:
    """Turn differing facts of the files into findings, one per fact that has a code."""
    found = []
    for difference in differences:
        code = _code_of(difference.field)
        if code:
            detail = f"{difference.field}: {difference.reference} -> {difference.candidate}"
            found.append(Finding(code=code, detail=detail[:500]))
    return found


def _code_of(field: str) -> str:
    if field in {"config.vocab_size", "weights.parameters"}:
        return ""
    if field == "architecture" or field.startswith("config."):
        return "FILE101"
    if field.startswith("generation."):
        return "" if field.endswith("_token_id") else "FILE104"
    return {
        "tokenizer.vocabulary": "TOKN101",
        "tokenizer.rules": "TOKN104",
        "tokenizer.special_tokens": "TOKN104",
        "template": "TMPL101",
        "stop_ids": "FILE103",
        "quantization": "FILE102",
        "weights.dtype": "FILE107",
        "licence.name": "FILE106",
        "licence.file": "FILE106",
        "missing": "FILE105",
    }.get(field, "")

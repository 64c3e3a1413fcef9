"""Tokenizers and templates: what requests become."""

from __future__ import annotations

from harness.verdicts.catalogue.model import Entry
from harness.verdicts.model import Cause

ENTRIES: dict[str, Entry] = {
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
    "TMPL118": Entry(
        "a branch that usual conversations do not enter makes another prompt", "S4", Cause.TEMPLATE,
        "Only one of the two templates decides something here (a word, a length, a date, a role, a tool, an option), and a "
        "request that was made for it becomes another prompt. Backdoors of published templates look like this; so does a "
        "template that was changed on purpose. The report shows the request.",
        "read the line that is named; take chat_template.jinja from the vendor's release",
    ),
    "TMPL119": Entry(
        "decisions of the template that nothing showed", "S2", Cause.TEMPLATE,
        "The two templates are other programs, and one of them decides something that no conversation of the suite and no "
        "request made for it showed in all its ways. What was not seen is not cleared.",
        "read the lines that are named; take chat_template.jinja from the vendor's release",
    ),
    "TMPL121": Entry(
        "two templates in one folder disagree", "S2", Cause.TEMPLATE,
        "The release holds its chat template in several files that are not the same. Which one is used depends on the program "
        "that serves it.",
        "keep one template: delete chat_template from tokenizer_config.json, and chat_template.json",
    ),
    "TMPL122": Entry(
        "the chat template lies where not every program looks", "S1", Cause.TEMPLATE,
        "The template is in chat_template.json alone, the form of older processors. Programs that load only a tokenizer find "
        "no template.",
        "write its text to chat_template.jinja",
    ),
    "TMPL123": Entry(
        "a template with a name of its own differs", "S1", Cause.TEMPLATE,
        "Requests that ask for it by name become other prompts; no other request does.",
        "take the template files from the vendor's release",
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
    "TOKN111": Entry(
        "a rule of the tokenizer differs, and nothing showed whether it matters", "S2", Cause.TOKENIZER,
        "Normalizer, pre-tokenizer, decoder, merges or flags are not the reference's. No text that was tried shows it, words "
        "that the rules name included; a rule can still be meant for words that nobody tried.",
        "take tokenizer.json from the vendor's release",
    ),
    "TOKN112": Entry(
        "ids become other text", "S4", Cause.TOKENIZER,
        "The same ids are turned into other text by the two tokenizers, so replies read differently.",
        "take tokenizer.json from the vendor's release",
    ),
    "TOKN113": Entry(
        "truncation or padding is switched on", "S2", Cause.TOKENIZER,
        "tokenizer.json says that every text is to be cut or filled, as training scripts leave it. transformers, vLLM and "
        "SGLang switch both off at each call and llama.cpp's converter does not read them, so prompts are judged without them. "
        "Programs that use the tokenizers library as the file says cut or fill every prompt.",
        "set truncation and padding to null in tokenizer.json",
    ),
    "TOKN114": Entry(
        "tokenizer.json was written in another form", "S2", Cause.TOKENIZER,
        "Some texts become other ids for programs that follow tokenizer.json to the letter, and the same ids for transformers "
        "and what is built on it, which has rules of its own for this kind of tokenizer. Saving a tokenizer again does this.",
        "take tokenizer.json from the vendor's release",
    ),
    "TOKN110": Entry(
        "a fault between text and ids", "S3", Cause.TOKENIZER,
        "Letters, line ends, control words or parts of messages: the named fault reproduces every prompt.",
        "repair what the fault names; then run this again",
    ),
}  # fmt: skip

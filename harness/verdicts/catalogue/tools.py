"""What becomes of calls of tools."""

from __future__ import annotations

from harness.verdicts.catalogue.model import Entry
from harness.verdicts.model import Cause

ENTRIES: dict[str, Entry] = {
    "TOOL701": Entry(
        "tools are called in other cases", "S1", None,
        "Whether a tool is called differs from the reference more often than the reference differs from itself. That is "
        "distance, with no sign: the calls may be as right as before.",
        "compare the prompts (fidelity template) first: a host that leaves tools out of the prompt calls none",
    ),
    "TOOL702": Entry(
        "calls are wrong more often", "S3", None,
        "More cases than by chance go from the right tools and arguments to wrong ones.",
        "look for the lowest layer that differs: template, parser, quantization; read the cases that were lost",
    ),
    "TOOL703": Entry(
        "calls do not fit their schemas", "S3", None,
        "More replies than by chance call tools that were not offered, or with arguments that are no JSON or do not fit.",
        "compare the prompts (fidelity template); see whether the host's parser knows this model's way of calling",
    ),
    "TOOL704": Entry(
        "tool_choice is not honoured", "S3", Cause.PROTOCOL,
        "Requests that force a call get none, or another; requests that forbid calls get some.",
        "switch on the engine's support of tool_choice, or tell users that there is none",
    ),
    "TOOL705": Entry(
        "marks of the template are left in texts", "S2", Cause.PARSER,
        "Texts hold marks that the conversation does not: tags of calls, special tokens, undecoded bytes. Something between the "
        "model and the answer did not read what the model wrote.",
        "choose the parser of tool calls and of reasoning that belongs to this model",
    ),
    "TOOL706": Entry(
        "replies say nothing", "S3", Cause.PARSER,
        "Replies hold neither a text nor a call, though they did not run out of length: reasoning alone, or nothing.",
        "check the reasoning parser and the stop ids",
    ),
    "TOOL707": Entry(
        "finish_reason does not say what came", "S2", Cause.PROTOCOL,
        "Replies with calls do not end as tool_calls, or replies without calls do. Programs that go by it stop, or wait for "
        "nothing.",
        "let finish_reason follow what the parser found",
    ),
    "TOOL708": Entry(
        "answers break the protocol", "S2", Cause.PROTOCOL,
        "Calls without an id, two with the same, arguments that are no text, streams that do not end: what the protocol of chat "
        "completions does not allow.",
        "see the breaches named in the finding",
    ),
    "TOOL709": Entry(
        "streams call something else", "S2", Cause.PARSER,
        "Requests that are answered in one piece and as a stream get other calls as a stream, more often than the reference's.",
        "check the engine's streaming parser of tool calls",
    ),
    "TOOL710": Entry(
        "answers say less of what came back", "S3", None,
        "More cases than by chance go from answers that hold what a tool returned, or what was asked, to answers that do not.",
        "compare the prompts of tool results (fidelity template)",
    ),
    "TOOL711": Entry(
        "answers come in another script", "S2", None,
        "More questions than by chance are answered in a script that is not theirs.",
        "compare the prompts (fidelity template); damaged weights change languages, too",
    ),
    "TOOL712": Entry(
        "requests with tools are refused", "S3", Cause.PROTOCOL,
        "The host does not take requests that offer tools, force or forbid calls, or hold calls and results. What is refused is "
        "neither right nor wrong, and stands against a clearing.",
        "switch on the engine's support of tools, or tell users that there is none",
    ),
    "TOOL714": Entry(
        "some replies break the form", "S1", None,
        "Marks, reasoning alone, a finish_reason or a breach of the protocol in more of the candidate's replies than of the "
        "reference's, but not in more than chance may bring. Seen, not proven.",
        "ask more cases, or these again",
    ),
    "TOOL713": Entry(
        "reasoning stands in another field", "S1", None,
        "The reasoning of replies comes in another field of the message than the reference's, or inside the text.",
        "tell users where it is; programs that were written for the reference do not find it",
    ),
}  # fmt: skip

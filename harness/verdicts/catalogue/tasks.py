"""What becomes of answers."""

from __future__ import annotations

from harness.verdicts.catalogue.model import Entry
from harness.verdicts.model import Cause

ENTRIES: dict[str, Entry] = {
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

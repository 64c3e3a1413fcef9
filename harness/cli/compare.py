"""``fidelity compare``: the main verb."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import cast

import click

from harness.cli.applies import refuse_unused
from harness.cli.display import make_display
from harness.cli.execution import execute
from harness.cli.options import extra_options
from harness.config import Places
from harness.observations.reference_cache import CacheChoice
from harness.pipeline import DEFAULT_LADDER, Candidate, Request
from harness.reports.audit_card import Checks
from harness.targets.endpoint.address import is_address
from harness.targets.endpoint.extras import read_extras
from harness.targets.endpoint.ways import Protocol
from harness.targets.spec import Runtime


@click.command("compare")
@click.argument("reference")
@click.argument("candidates", nargs=-1)
@click.option("--imatrix", "importance", default="", metavar="FILE",
              help="The importance matrix with which GGUF candidates were quantized (imatrix.dat or .gguf).")  # fmt: skip
@click.option("--claim", "claims", multiple=True, metavar="PRECISION",
              help="What the candidates are sold as: bf16, fp8, int8, nf4, gguf:Q8_0, int4g128, ... "
              "Once for all, or once per candidate.")  # fmt: skip
@click.option("--suite", default="core", show_default=True, help="A shipped suite, or a folder of your own.")
@click.option(
    "--window",
    default=0,
    metavar="TOKENS",
    help="Take --suite as a text file and cut it as llama.cpp's perplexity tool does (512 there).",
)
@click.option("--profile", default="full", show_default=True, help="The part of the suite: quick or full.")
@click.option("--gate", "gates", multiple=True, metavar="EXPR",
              help="Judge by bounds instead of the band: 'kl_ref_cand<=0.02', 'bits>=4.2', 'kl_ref_cand<=1.1x baseline', a "
              "preset (lossless, 8bit, 4bit) or a policy file. Repeatable.")  # fmt: skip
@click.option("--baseline", type=click.Path(path_type=Path), metavar="FILE",
              help="An earlier result to hold gates against; without a gate: no worse than it.")  # fmt: skip
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, auto (transformers' device_map).")
@click.option("--dtype", default="auto", show_default=True, type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
              help="Number format in which both sides run.")  # fmt: skip
@click.option("--batch", default=1, show_default=True, help="Sequences per forward pass, the same on both sides.")
@click.option("--threads", default=0, help="Compute threads; 0 takes what this process may use.")
@click.option("--band/--no-band", default=True, help="Measure the honest band in the same run.")
@click.option("--ladder", default=",".join(map(str, DEFAULT_LADDER)), show_default=True, metavar="BITS",
              help="Round-to-nearest rungs to measure, or 'none'.")  # fmt: skip
@click.option("--reference-cache", default="auto", show_default=True, type=click.Choice(["auto", "hidden", "sketch"]),
              help="How the reference's answers are kept: hidden states (exact) or a sketch (1.6 KB per token).")  # fmt: skip
@click.option(
    "--requests", default=64, show_default=True, help="Questions that an endpoint is asked at most, 64 tokens each."
)
@click.option("--bank", default="quick", show_default=True, metavar="NAMES",
              help="What an endpoint may serve instead: quick, full, or a list like ggufq:Q8_0,bnb:nf4,other:PATH.")  # fmt: skip
@click.option("--alpha", default=0.01, show_default=True, help="Probability of accusing an honest endpoint, per axis.")
@click.option("--sampler", default="", metavar="SETTING",
              help="Ask an endpoint for temperature=T, top_p=P, top_k=K or min_p=P, where it forces one.")  # fmt: skip
@click.option("--replies", type=click.Path(path_type=Path), metavar="FILE",
              help="Judge logged requests and answers (JSON lines) instead of a candidate; nothing is asked.")  # fmt: skip
@click.option("--controls/--no-controls", default=True,
              help="Make an honest and two known-bad hosts here; without them nobody is cleared.")  # fmt: skip
@click.option("--honest-control", "honest", default="", metavar="WHERE",
              help="A host that you vouch for: an address, a GGUF file of 16 bits or more to serve here, or auto (the "
              "reference's own file). It is asked the same; what accuses it accuses nobody.")  # fmt: skip
@click.option("--honest-key-env", "honest_key", default="", metavar="NAME", help="Environment variable with its key.")
@click.option("--checks", default="thorough", show_default=True, type=click.Choice(["thorough", "quick", "none"]),
              help="Trials of an endpoint's parameters, streams and limits: about 38, 28 or no requests.")  # fmt: skip
@click.option("--protocol", default="chat", show_default=True, type=click.Choice(["chat", "completions"]),
              help="How an endpoint is asked: by conversations, or by the prompts that the reference makes of them, in which "
              "no template takes part.")  # fmt: skip
@click.option("--stream", is_flag=True, help="Ask an endpoint for its replies as streams.")
@click.option("--texts", default=32, show_default=True,
              help="Documents to have scored by an endpoint that scores what it is shown, as vLLM does; 0: none.")  # fmt: skip
@click.option(
    "--budget", default="", metavar="CAPS", help="Hard caps: tokens=20000,requests=100,seconds=600,money=0.5."
)
@click.option("--price", default="", metavar="IN/OUT", help="Prices of an endpoint's tokens, per million.")
@click.option("--concurrency", default=4, show_default=True, help="Requests on their way at once, at most.")
@click.option("--per-minute", default=0, help="Requests per minute, at most; 0 for no limit.")
@click.option("--api-key-env", "key", default="", metavar="NAME", help="Environment variable with the endpoint's key.")
@extra_options
@click.option("--fresh", is_flag=True, help="Start a new run even if an unfinished one could be resumed.")
@click.option("--results", type=click.Path(path_type=Path), help="Where runs are kept [default: ./results].")
@click.option("--display", default="auto", type=click.Choice(["auto", "rich", "plain", "none"]))
def command(
    reference: str,
    candidates: tuple[str, ...],
    claims: tuple[str, ...],
    importance: str,
    suite: str,
    window: int,
    profile: str,
    gates: tuple[str, ...],
    baseline: Path | None,
    device: str,
    dtype: str,
    batch: int,
    threads: int,
    band: bool,  # noqa: FBT001
    ladder: str,
    reference_cache: str,
    requests: int,
    bank: str,
    alpha: float,
    sampler: str,
    replies: Path | None,
    controls: bool,  # noqa: FBT001
    honest: str,
    honest_key: str,
    checks: str,
    protocol: str,
    stream: bool,  # noqa: FBT001
    texts: int,
    budget: str,
    price: str,
    concurrency: int,
    per_minute: int,
    key: str,
    extra_body: str,
    headers: tuple[str, ...],
    query: tuple[str, ...],
    fresh: bool,  # noqa: FBT001
    results: Path | None,
    display: str,
) -> int:
    """Compare CANDIDATES with a REFERENCE checkpoint and say what differs, with error bars.

    A target is a folder (PATH), a Hub name (org/name@revision), or a change of one: dtype:bf16:PATH, bnb:nf4:PATH,
    rtn:4g64:PATH, fp8:PATH, ggufq:Q8_0:PATH, gguf:FILE, gptq:PATH. A candidate may also be an endpoint,
    https://host/v1#model: it is asked questions, and the text that comes back is the evidence. openrouter:AUTHOR/MODEL@HOST and
    hf:ORG/NAME@HOST are endpoints at a router, pinned to one of its hosts.
    """
    if bool(candidates) == bool(replies):
        raise click.UsageError("give candidates, or a log of replies with --replies")
    hosts = [is_address(candidate) for candidate in candidates]
    if any(hosts) and not all(hosts):
        raise click.UsageError("endpoints and files are compared in commands of their own")
    refuse_unused(
        click.get_current_context(), "a log of replies" if replies else "endpoints" if any(hosts) else "files"
    )
    if replies or any(hosts):
        from harness.cli.endpoint import EndpointOptions, audit, audit_log  # noqa: PLC0415 - brings httpx along

        options = EndpointOptions(
            bank, requests, alpha, key, sampler, controls, budget, price, concurrency, per_minute, fresh,
            cast("Checks", checks), honest, honest_key, cast("Protocol", protocol), stream, texts,
            read_extras(extra_body, headers, query),
        )  # fmt: skip
        places = Places(results or Places.default().results, Places.default().cache)
        runtime = Runtime(device=device, attention="auto", threads=threads)
        if replies:
            return audit_log(reference, replies, places, make_display(display), options, runtime)
        return audit(reference, candidates, places, make_display(display), options, runtime)
    if len(claims) not in {0, 1, len(candidates)}:
        raise click.UsageError("give --claim once, or once per candidate")
    per_candidate = claims * len(candidates) if len(claims) == 1 else claims or ("",) * len(candidates)
    try:
        bits = () if ladder == "none" else tuple(int(part) for part in ladder.split(","))
    except ValueError as error:
        raise click.UsageError("--ladder takes bit widths such as 8,6,5,4,3, or 'none'") from error
    if any(not 2 <= b <= 8 for b in bits):
        raise click.UsageError("--ladder takes bit widths from 2 to 8")
    request = Request(
        reference=reference,
        candidates=tuple(Candidate(spec, claim) for spec, claim in zip(candidates, per_candidate, strict=True)),
        importance=importance,
        suite=suite,
        profile=profile,
        window=window,
        runtime=Runtime(device=device, dtype=dtype, batch=batch, threads=threads),
        band=band,
        ladder=bits,
        gates=gates,
        baseline=baseline,
        reference_cache=cast("CacheChoice", reference_cache),
        fresh=fresh,
        command="fidelity " + shlex.join(sys.argv[1:]),
    )
    places = Places.default()
    if results:
        places = Places(results, places.cache)
    scorecard = execute(request, places, make_display(display))
    return scorecard.exit_code

"""Engines that show their prompts: llama.cpp for real, the others in the shapes in which they were recorded."""

from __future__ import annotations

import json

import pytest
from tokenizers import Tokenizer

from harness.prompts.conversation import Conversation
from harness.targets.endpoint.address import parse_address
from harness.targets.endpoint.client import Client
from harness.targets.endpoint.engines import recognise
from harness.targets.endpoint.engines.model import chat_fields, ids_of, text_of
from tests.support.hosts import host
from tests.support.transformers_rendering import by_transformers

PLAIN = Conversation(messages=({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi, naïve ½!"}))
REFUSED = Conversation(messages=({"role": "user", "content": "refuse"},))


class Recorded:
    """Answers as an engine does: the recorded shape, filled by transformers and the model's own tokenizer."""

    def __init__(self, engine, folder):
        self.engine = engine
        self.template = (folder / "chat_template.jinja").read_text()
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def __call__(self, asked, _):
        shape = getattr(self, self.engine)(asked.path, asked.body)
        if shape is None:
            shape = 404, {"detail": "Not Found"}
        status, value = shape if isinstance(shape, tuple) else (200, shape)
        return status, {}, json.dumps(value).encode()

    def text(self, body):
        return by_transformers(self.template, Conversation(messages=body["messages"], tools=body.get("tools")), {})

    def ids(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def refuses(self, body):
        return body.get("messages", [{}])[-1].get("content") == "refuse"

    def vllm(self, path, body):
        if path == "/version":
            return {"version": "0.32.0"}
        if path == "/v1/chat/completions/render":
            return 403, {
                "error": {"message": "Scale-out endpoints are disabled.", "type": "ForbiddenError", "code": 403}
            }
        if path == "/tokenize":
            assert body["add_special_tokens"] is False  # it adds them to plain prompts by default
            if self.refuses(body):
                return 400, {"error": {"message": "no", "type": "BadRequestError", "param": None, "code": 400}}
            ids = self.ids(body["prompt"] if "prompt" in body else self.text(body))
            return {"count": len(ids), "max_model_len": 2048, "tokens": ids, "token_strs": None}
        if path == "/detokenize":
            return {"prompt": self.tokenizer.decode(body["tokens"], skip_special_tokens=False)}
        return None

    def vllm_rendering(self, path, body):
        if path == "/v1/chat/completions/render":
            if self.refuses(body):
                return 400, {"error": {"message": "no", "type": "BadRequestError", "param": None, "code": 400}}
            ids = self.ids(self.text(body))
            return {"request_id": "chatcmpl-1", "token_ids": ids, "features": None, "sampling_params": {}, "model": "m"}
        return None if path == "/tokenize" and "messages" in body else self.vllm(path, body)

    def sglang(self, path, body):
        if path == "/model_info":
            return {"model_path": "m", "tokenizer_path": "m", "is_generation": True, "weight_version": "default"}
        if path == "/v1/tokenize":
            if self.refuses(body):
                return 400, {"object": "error", "message": "no", "type": "BadRequest", "code": 400}
            ids = self.ids(body["prompt"] if "prompt" in body else self.text(body))
            return {"tokens": ids, "count": len(ids), "max_model_len": 8192}
        if path == "/v1/detokenize":
            return {"text": self.tokenizer.decode(body["tokens"], skip_special_tokens=body["skip_special_tokens"])}
        return None

    def tgi(self, path, body):
        if path == "/info":
            return {"model_id": "m", "router": "text-generation-router", "version": "3.3.6"}
        if path == "/chat_tokenize":
            if self.refuses(body):
                return 422, {"error": "no", "error_type": "template_error"}
            text = self.text(body)
            found = self.tokenizer.encode(text, add_special_tokens=False)
            pieces = zip(found.ids, found.tokens, found.offsets, strict=True)
            tokens = [{"id": i, "text": piece, "start": a, "stop": b} for i, piece, (a, b) in pieces]
            return {"tokenize_response": tokens, "templated_text": text}
        if path == "/tokenize":
            return [{"id": i, "text": "", "start": 0, "stop": 0} for i in self.ids(body["inputs"])]
        return None

    def ollama(self, path, body):
        if path == "/api/version":
            return {"version": "0.30.1"}
        if path == "/api/show":
            return {"license": "", "modelfile": "", "template": "{{ .Prompt }}", "details": {}, "capabilities": []}
        if path == "/v1/chat/completions":
            assert body["_debug_render_only"] is True
            if self.refuses(body):
                return 400, {"error": {"message": "no", "type": "invalid_request_error", "param": None, "code": None}}
            return {"model": "m", "_debug_info": {"rendered_template": self.text(body), "image_count": 0}}
        return None


ENGINES = {
    "vllm": ("vLLM", "0.32.0"),
    "vllm_rendering": ("vLLM", "0.32.0"),
    "sglang": ("SGLang", ""),
    "tgi": ("TGI", "3.3.6"),
    "ollama": ("Ollama", "0.30.1"),
}


@pytest.mark.parametrize("name", ENGINES)
def test_recorded_engines_are_recognised_and_show_their_prompts(name, smollm):
    """Name, version, text and ids of a chat request; ids of a plain text; a refusal with the host's own words."""
    recorded = Recorded(name, smollm)
    with host(recorded) as running, Client(parse_address(f"{running.address}#m")) as client:
        engine = recognise(client)
        assert (engine.name, engine.version) == ENGINES[name]
        shown = engine.prompt(PLAIN)
        text = by_transformers(recorded.template, PLAIN, {})
        assert shown.text == text
        assert shown.ids == (None if name == "ollama" else tuple(recorded.ids(text)))
        assert engine.encode("a ½") == (None if name == "ollama" else tuple(recorded.ids("a ½")))
        refused = engine.prompt(REFUSED)
        assert (refused.text, refused.ids) == (None, None)
        assert "no" in refused.problem


def test_llamacpp_is_recognised_and_shows_its_prompts(llamacpp, smollm):
    """The real server: its build, its template, the text and the ids that transformers gives."""
    with Client(parse_address(llamacpp)) as client:
        engine = recognise(client)
        assert engine.name == "llama.cpp"
        assert engine.template == (smollm / "chat_template.jinja").read_text()
        shown = engine.prompt(PLAIN)
        assert shown.text == by_transformers(engine.template, PLAIN, {})
        tokenizer = Tokenizer.from_file(str(smollm / "tokenizer.json"))
        assert shown.ids == tuple(tokenizer.encode(shown.text, add_special_tokens=False).ids)
        assert engine.encode("a ½") == tuple(tokenizer.encode("a ½", add_special_tokens=False).ids)


@pytest.mark.parametrize("reply", [{}, {"version": 3}, {"prompt": 1, "tokens": "x"}, [1, 2], "text", None])
def test_strangers_are_no_engine_and_no_crash(reply):
    """Hosts that answer every path alike with something else."""
    body = json.dumps(reply).encode()
    with host(lambda *_: (200, {}, body)) as running, Client(parse_address(running.address)) as client:
        assert recognise(client) is None


def test_halves_of_characters_are_no_text():
    """A lone surrogate would break every report that is written later."""
    assert text_of("\ud800") is None
    assert text_of("é") == "é"


@pytest.mark.parametrize("value", [None, "12", [1, "2"], [1, True], [1.0], [-1], [{"piece": "a"}], [[1]]])
def test_ids_from_a_stranger_are_whole_numbers_or_nothing(value):
    """Texts, fractions, booleans and negative numbers are no token ids."""
    assert ids_of(value) is None
    assert ids_of([3, {"id": 4, "piece": "a"}]) == (3, 4)


def test_only_what_departs_from_the_usual_is_sent():
    """Strict hosts refuse fields that they do not know."""
    assert set(chat_fields(PLAIN)) == {"messages"}
    prefill = Conversation(messages=PLAIN.messages, generation=False, continue_final=True, options={"a": 1}, tools=())
    assert chat_fields(prefill) == {
        "messages": list(PLAIN.messages),
        "tools": [],
        "chat_template_kwargs": {"a": 1},
        "add_generation_prompt": False,
        "continue_final_message": True,
    }

"""A real server whose template has everything, shared by the tiers."""

from __future__ import annotations

import shutil

import pytest

from harness.config import Places
from harness.targets.demo_model import demo_gguf
from harness.targets.endpoint.local import local_host
from harness.targets.requantized import requantized
from tests.support.templates import EVERYTHING
from tests.support.toy import edit_json


@pytest.fixture(scope="session")
def smollm_gguf(brief_gguf):
    """Of the model one layer: prompts, ids and counts are the same."""
    return brief_gguf


@pytest.fixture(scope="session")
def llamacpp(brief_llamacpp):
    """The real server with it."""
    return brief_llamacpp


@pytest.fixture(scope="package")
def complete(smollm, tmp_path_factory):
    """A reference whose template has everything."""
    folder = tmp_path_factory.mktemp("everything")
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        shutil.copy(smollm / name, folder / name)
    (folder / "chat_template.jinja").write_text(EVERYTHING)
    edit_json(folder / "tokenizer.json", normalizer={"type": "NFC"})  # as Qwen's has, and llama.cpp never applies
    return folder


@pytest.fixture(scope="package")
def everything(complete, smollm_gguf):
    """The same with a real server that serves it."""
    with local_host(smollm_gguf, EVERYTHING) as address:
        yield complete, address


@pytest.fixture(scope="package")
def wide(complete):
    """The whole model in 16 bits, whose answers tell, and do not depend on what was computed before."""
    cache = Places.default().cache
    with local_host(requantized(demo_gguf(cache), "F16", cache / "hosts"), EVERYTHING) as address:
        yield complete, address

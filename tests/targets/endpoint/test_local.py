"""A local server is a process of its own that ends with its block, and a file that is none is an error."""

from __future__ import annotations

import psutil
import pytest

from harness.errors import EndpointUnreachable, TargetRefused
from harness.targets.endpoint.address import parse_address
from harness.targets.endpoint.client import Client, Limits
from harness.targets.endpoint.local import local_host


async def no_sleep(_):
    pass


def test_a_server_answers_inside_its_block_and_not_after_it(smollm_gguf, monkeypatch):
    """On 127.0.0.1, with the template that it was given; its threads sleep where they have nothing to do."""
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    before = psutil.Process().children()
    with local_host(smollm_gguf, "{{ messages[0]['content'] }}", context=256, kv="Q8_0") as address:
        (process,) = (one for one in psutil.Process().children() if one not in before)
        assert process.environ()["OMP_WAIT_POLICY"] == "passive"
        assert address.startswith("http://127.0.0.1:")
        with Client(parse_address(address)) as client:
            assert client.get("/props").fields()["chat_template"] == "{{ messages[0]['content'] }}"
    with (
        Client(parse_address(address), Limits(request=2), sleep=no_sleep) as client,
        pytest.raises(EndpointUnreachable),
    ):
        client.get("/props")


def test_a_file_that_is_no_model_is_refused(tmp_path):
    """With its name, and without a server that hangs."""
    path = tmp_path / "none.gguf"
    path.write_bytes(b"GGUF nonsense")
    with pytest.raises(TargetRefused, match="did not start"), local_host(path):
        pass

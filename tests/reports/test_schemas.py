"""The published schemas hold for what is really written, and would refuse what is not."""

from __future__ import annotations

import json

import jsonschema
import pytest

from harness.reports.render import render
from harness.reports.schemas import schemas
from tests.support.audit_cards import audit_card


def test_a_real_scorecard_is_valid_and_a_changed_one_is_not(scored_toy):
    """Numbers that are none are words; an unknown key or a missing one is refused."""
    schema = next(value for name, value in schemas().items() if name.startswith("scorecard."))
    jsonschema.Draft202012Validator.check_schema(schema)
    card = json.loads(render(scored_toy[0], "json"))
    jsonschema.validate(card, schema)
    assert '"NaN"' in json.dumps(card)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**card, "score": 1}, schema)
    del card["outcome"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(card, schema)


def test_real_cards_of_audits_and_tasks_are_valid(toy_tasks):
    """As they are written, with hostile names in the one and numbers that are none in the other."""
    found = schemas()
    for start, card in (("audit.", audit_card("b")), ("audit.", audit_card("p", facts=None)), ("tasks.", toy_tasks)):
        schema = next(value for name, value in found.items() if name.startswith(start))
        written = json.loads(card.model_dump_json())
        jsonschema.validate(written, schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**written, "score": 1}, schema)


def test_names_tell_the_version():
    """Whoever keeps a schema knows which cards it is for."""
    for name, schema in schemas().items():
        assert schema["$id"].endswith(name)
        assert ".v" in name

"""The tools that cases offer: their schemas as the protocol has them."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def text(description: str, **more: Any) -> Schema:
    """A text argument."""
    return {"type": "string", "description": description, **more}


def one_of(description: str, *values: str) -> Schema:
    """A text argument that takes few values."""
    return {"type": "string", "enum": list(values), "description": description}


def whole(description: str, **more: Any) -> Schema:
    """A whole number."""
    return {"type": "integer", "description": description, **more}


def many(items: Schema, description: str) -> Schema:
    """A list."""
    return {"type": "array", "items": items, "description": description}


def thing(required: list[str], **properties: Schema) -> Schema:
    """An object that takes these fields and no others."""
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _tool(name: str, description: str, required: str, /, **properties: Schema) -> Schema:
    function = {"name": name, "description": description, "parameters": thing(required.split(), **properties)}
    return {"type": "function", "function": function}


_DAY = "day as YYYY-MM-DD"
_ALL = [
    _tool("get_weather", "The weather in a city now.", "city", city=text("name of the city, in English"),
          unit=one_of("unit of temperature", "celsius", "fahrenheit")),
    _tool("send_email", "Send an email.", "to subject body", to=text("address of the receiver"),
          subject=text("subject line"), body=text("text of the email, exactly as it should be sent")),
    _tool("convert_currency", "Convert an amount of money at today's rate.", "amount source target",
          amount={"type": "number", "description": "amount in the source currency"},
          source=text("ISO code of the source currency, e.g. EUR"), target=text("ISO code of the target currency")),
    _tool("set_alarm", "Set an alarm on the user's phone.", "time", time=text("time as HH:MM, 24 hours"),
          label=text("what the alarm is for"),
          days=many(one_of("day", "mon", "tue", "wed", "thu", "fri", "sat", "sun"), "days on which it repeats")),
    _tool("create_event", "Put an event into the calendar.", "title start attendees", title=text("title"),
          start=thing(["date", "time"], date=text(_DAY), time=text("HH:MM, 24 hours")),
          attendees=many(thing(["name", "email"], name=text("name"), email=text("address")), "who is invited")),
    _tool("get_stock_price", "The latest price of a share.", "ticker", ticker=text("ticker symbol, e.g. ACME")),
    _tool("translate_text", "Translate a text.", "text target_language", text=text("the text, unchanged"),
          target_language=text("ISO 639-1 code of the language to translate into, e.g. de")),
    _tool("get_order_status", "Where an order is.", "order_id", order_id=text("number of the order, e.g. A-1234")),
    _tool("save_note", "Save a note.", "title text", title=text("title of the note"),
          text=text("text of the note, exactly as given")),
    _tool("book_table", "Book a table in a restaurant.", "restaurant date time guests", restaurant=text("its name"),
          date=text(_DAY), time=text("HH:MM, 24 hours"), guests=whole("number of people", minimum=1, maximum=20),
          seating=one_of("where to sit", "inside", "terrace", "bar")),
    _tool("search_products", "Search the shop.", "query filters", query=text("what to look for, one or two words"),
          filters=many(thing(["field", "op", "value"], field=one_of("field", "price", "rating", "weight"),
                             op=one_of("comparison", "lt", "le", "eq", "ge", "gt"),
                             value={"type": "number", "description": "the number to compare with"}),
                       "all must hold; may be empty"),
          sort=one_of("order of the results", "price", "rating", "newest")),
    _tool("set_light", "Set the lamps of a room.", "room settings",
          room=one_of("room", "kitchen", "bedroom", "office", "hall"),
          settings=thing(["on"], on={"type": "boolean", "description": "whether they are on"},
                         brightness=whole("percent", minimum=0, maximum=100),
                         colour=one_of("colour", "warm", "cold", "red", "blue"))),
    _tool("create_ticket", "Open a ticket in the issue tracker.", "title priority", title=text("title, exactly as given"),
          priority=one_of("priority", "low", "medium", "high", "urgent"),
          labels=many(one_of("label", "bug", "docs", "ui", "security", "performance"), "labels"),
          assignee=thing(["team"], team=text("name of the team"), person=text("name of a person"))),
    _tool("list_files", "List the files of a folder.", "path", path=text("path of the folder"),
          recursive={"type": "boolean", "description": "whether folders inside are listed, too"}),
    _tool("start_timer", "Start a countdown.", "seconds", seconds=whole("how long, in seconds", minimum=1)),
    _tool("lookup_contact", "Find the email address and phone number of a contact by name.", "name",
          name=text("name of the contact")),
]  # fmt: skip
TOOLS: dict[str, Schema] = {tool["function"]["name"]: tool for tool in _ALL}

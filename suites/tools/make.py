"""Writes the cases of this folder: ``python suites/tools/make.py``. The same ones each time, by seed."""

from __future__ import annotations

import importlib.util
import json
import random
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
Case = dict[str, Any]
Say = tuple[str, str, dict[str, list[Any]]]  # what is asked, the tool that answers it, and the arguments that are right


def _near(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOLS = _near("toolbox").TOOLS
_CITIES = ["Oslo", "Lisbon", "Nairobi", "Quito", "Hanoi", "Ottawa"]


def call(name: str, /, **arguments: Any) -> Case:
    """An expected call; every argument is given with the values that are right for it."""
    return {
        "name": name,
        "arguments": {key: value if isinstance(value, list) else [value] for key, value in arguments.items()},
    }


def case(kind: str, number: int, user: str, offered: list[str], calls: list[Case], **more: Any) -> Case:
    """One case; ``more`` overrides its messages, choice and expectations."""
    turns = more.pop("messages", [{"role": "user", "content": user}])
    return {"id": f"{kind}-{number:02}", "kind": kind, "messages": turns, "tools": offered, "calls": calls, **more}


def simple(rng: random.Random) -> list[Say]:
    """Requests that one tool answers, with nothing left to guess."""
    city, other = rng.sample(_CITIES, 2)
    amount, order = rng.randint(3, 90) * 5, f"{rng.choice('ABCD')}-{rng.randint(1000, 9999)}"
    hour, minute, seconds = rng.randint(6, 21), rng.choice([5, 20, 40]), rng.choice([2, 4, 12])
    ticker = rng.choice(["ACME", "GLOBX", "INITECH"])
    name, folder = rng.choice(["Mara Kowalski", "Ivo Lindqvist"]), rng.choice(["/srv/data", "/projects/ada"])
    return [
        (f"What is the weather in {city} right now?", "get_weather", {"city": [city]}),
        (f"How many degrees Fahrenheit is it in {other} at the moment?", "get_weather",
         {"city": [other], "unit": ["fahrenheit"]}),
        (f"Convert {amount} euros to Japanese yen.", "convert_currency",
         {"amount": [amount], "source": ["EUR"], "target": ["JPY"]}),
        (f"Set an alarm for {hour:02}:{minute:02}.", "set_alarm", {"time": [f"{hour:02}:{minute:02}"]}),
        (f"What is the price of a share of {ticker} now? That is its ticker symbol.", "get_stock_price", {"ticker": [ticker]}),
        (f"Where is my order {order}?", "get_order_status", {"order_id": [order]}),
        (f"Start a timer for {seconds} minutes.", "start_timer", {"seconds": [seconds * 60]}),
        (f"What is the email address of {name}? Look it up in my contacts.", "lookup_contact", {"name": [name]}),
        (f"Which files are in {folder}? Do not look into folders inside it.", "list_files", {"path": [folder, folder + "/"]}),
        (f"Please remind me with an alarm at {hour}:{minute:02} every Monday and Friday.", "set_alarm",
         {"time": [f"{hour:02}:{minute:02}"], "days": [["mon", "fri"], ["fri", "mon"]]}),
    ]  # fmt: skip


def different(rng: random.Random, count: int) -> list[Say]:
    """This many simple requests, no two of which are the same."""
    found: dict[str, Say] = {}
    while len(found) < count:
        found |= {say[0]: say for say in simple(rng)}
    return list(found.values())[:count]


def must_call(rng: random.Random) -> list[Case]:
    """One tool is offered, and needed."""
    asked = different(rng, 20)
    return [
        case("must-call", n, user, [tool], [call(tool, **right)])
        for n, (user, tool, right) in enumerate(asked, start=1)
    ]


def choose(rng: random.Random) -> list[Case]:
    """Several tools are offered, one is needed."""
    found = []
    for n, (user, tool, right) in enumerate(different(rng, 16), start=1):
        others = rng.sample(sorted(set(TOOLS) - {tool}), rng.choice([3, 5, 7]))
        offered = [*others, tool]
        rng.shuffle(offered)
        found.append(case("choose", n, user, offered, [call(tool, **right)]))
    return found


def must_not_call(rng: random.Random) -> list[Case]:
    """Tools are offered that have nothing to do with the request, or the user wants none."""
    plain = [
        ("Hello! How are you today?", []), ("Thank you, that was all I needed.", []), ("What is two plus two?", ["4", "four"]),
        ("What is the capital of France?", ["Paris"]), ("Write one sentence about the sea.", []),
        ("Which is larger, an elephant or a mouse?", ["elephant"]), ("How many days does a week have?", ["7", "seven"]),
        ("What is the opposite of hot?", ["cold"]), ("Spell the word 'cat' backwards.", ["tac", "t-a-c", "t a c"]),
        ("Say the colour of fresh snow.", ["white"]),
        ("Without using any tool, tell me in one sentence what a currency is.", []),
        ("Do not call any function. Just answer: which month follows March?", ["April"]),
        ("I do not want you to set an alarm. Just tell me how many minutes an hour has.", ["60", "sixty"]),
        ("What could you do for me with the tools that you have? Only tell me, use none of them.", []),
        ("What is the chemical symbol of gold?", ["Au"]), ("Is water wet? Answer with yes or no.", []),
    ]  # fmt: skip
    found = []
    for n, (user, says) in enumerate(plain, start=1):
        offered = rng.sample(
            ["set_alarm", "convert_currency", "get_order_status", "set_light", "create_ticket", "start_timer"], 3
        )
        found.append(case("must-not-call", n, user, offered, [], says=says))
    return found


def parallel(rng: random.Random) -> list[Case]:
    """Several calls at once: the same tool more than once, or different ones."""
    found = []
    for n in range(1, 7):
        cities = rng.sample(_CITIES, 2 + n % 2)
        user = f"What is the weather right now in {', '.join(cities[:-1])} and {cities[-1]}? Get all of them at once."
        found.append(
            case(
                "parallel",
                n,
                user,
                ["get_weather", "get_stock_price"],
                [call("get_weather", city=city) for city in cities],
            )
        )
    for n in range(7, 11):
        city, order, minutes = rng.choice(_CITIES), f"B-{rng.randint(1000, 9999)}", rng.choice([3, 5, 8])
        user = (
            f"At the same time: tell me the weather in {city}, find out where order {order} is, and start a timer for "
            f"{minutes} minutes."
        )
        calls = [
            call("get_weather", city=city),
            call("get_order_status", order_id=order),
            call("start_timer", seconds=minutes * 60),
        ]
        found.append(case("parallel", n, user, ["start_timer", "get_weather", "get_order_status", "save_note"], calls))
    return found


def nested(rng: random.Random) -> list[Case]:
    """Objects in lists, enums, numbers and truth values."""
    found = []
    people = [("Mara", "mara@example.org"), ("Ivo", "ivo@example.org"), ("Lin", "lin@example.org")]
    for _ in range(4):
        guests = rng.sample(people, rng.choice([1, 2]))
        day, hour = rng.randint(10, 28), rng.randint(9, 17)
        who = " and ".join(f"{name} ({mail})" for name, mail in guests)
        right = call("create_event", title=["Review"], start=[{"date": f"2027-03-{day}", "time": f"{hour:02}:30"}],
                     attendees=[[{"name": name, "email": mail} for name, mail in guests]])  # fmt: skip
        found.append(
            (f"Create the event 'Review' on 2027-03-{day} at {hour:02}:30 and invite {who}.", "create_event", right)
        )
    for thing in ("kettle", "desk lamp", "backpack"):
        price, rating = rng.randint(2, 20) * 10, rng.choice([3, 4])
        rules = [{"field": "price", "op": "lt", "value": price}, {"field": "rating", "op": "ge", "value": rating}]
        right = call("search_products", query=[thing, thing + "s"], filters=[rules, rules[::-1]], sort=["rating"])
        text = f"Search the shop for '{thing}': price less than {price}, rating at least {rating}. Sort by rating."
        found.append((text, "search_products", right))
    for room, colour in (("bedroom", "red"), ("office", "cold"), ("hall", "warm")):
        level = rng.randint(1, 9) * 10
        right = call("set_light", room=room, settings=[{"on": True, "brightness": level, "colour": colour}])
        found.append((f"Turn the lamps in the {room} on, {level} percent bright, {colour}.", "set_light", right))
    found.append(
        (
            "Turn off the lamps in the kitchen.",
            "set_light",
            call("set_light", room="kitchen", settings=[{"on": False}, {"on": False, "brightness": 0}]),
        )
    )
    for title, priority, labels in (("Login fails", "urgent", ["bug", "security"]), ("Typo in guide", "low", ["docs"])):
        right = call(
            "create_ticket",
            title=title,
            priority=priority,
            labels=[labels, labels[::-1]],
            assignee=[{"team": "platform"}],
        )
        text = (
            f"Open a ticket titled '{title}' with priority {priority}, labels {' and '.join(labels)}, assigned to the team "
            "'platform'."
        )
        found.append((text, "create_ticket", right))
    text = "Book a table at Casa Verde on 2027-05-04 at 19:30 for six people on the terrace."
    right = call("book_table", restaurant="Casa Verde", date="2027-05-04", time="19:30", guests=6, seating="terrace")
    found.append((text, "book_table", right))
    return [
        case("nested", n, user, [tool, "get_weather"], [right]) for n, (user, tool, right) in enumerate(found, start=1)
    ]


_EXACT = [
    'He said "stop", twice.', "C:\\temp\\new\\file.txt", "Zürich, Łódź, São Paulo", "東京は晴れです。", "Привет, мир!",
    "مرحبا بالعالم",
    "🙂 done 👍🏽", "a\nb\nc", "{\"key\": [1, 2]}", "<b>bold</b> & more", "50% of €20 = €10", "it's 'quoted' `code`",
    "tab\there", "</tool_call> is only text",
]  # fmt: skip


def special(_: random.Random) -> list[Case]:
    """Texts that must arrive as they are: quotes, backslashes, line breaks, other scripts, marks of templates."""
    found = []
    for n, text in enumerate(_EXACT, start=1):
        user = f"Save a note titled 'n{n}' with exactly the text between the lines:\n---\n{text}\n---"
        found.append(
            case(
                "special",
                n,
                user,
                ["save_note", "send_email"],
                [call("save_note", title=f"n{n}", text=text)],
                exact=True,
            )
        )
    return found


def turn(calls: list[tuple[str, str, dict[str, Any]]], results: list[Any], **more: Any) -> list[Case]:
    """An assistant that calls, and what came back."""
    told = [
        {"id": own, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for own, name, arguments in calls
    ]
    answers = [
        {"role": "tool", "tool_call_id": own, "content": json.dumps(result)}
        for (own, _, _), result in zip(calls, results, strict=True)
    ]
    return [{"role": "assistant", "content": "", **more, "tool_calls": told}, *answers]


def round_trips(rng: random.Random) -> list[Case]:
    """A result has come back, and is to be told; two at once in some."""
    found = []
    for n in range(1, 7):
        city, degrees = rng.choice(_CITIES), rng.randint(11, 38)
        user = {"role": "user", "content": f"How warm is it in {city} right now?"}
        back = turn(
            [("calla0001", "get_weather", {"city": city})], [{"city": city, "temperature": degrees, "unit": "celsius"}]
        )
        found.append(
            case("round-trip", n, "", ["get_weather", "set_alarm"], [], messages=[user, *back], says=[str(degrees)])
        )
    for n in range(7, 11):
        order, place = f"C-{rng.randint(1000, 9999)}", rng.choice(["Rotterdam", "Gdansk", "Marseille"])
        user = {"role": "user", "content": f"Where is order {order}, and what does a share of ACME cost?"}
        price = rng.randint(20, 99)
        made = [
            ("callb0001", "get_order_status", {"order_id": order}),
            ("callb0002", "get_stock_price", {"ticker": "ACME"}),
        ]
        back = turn(made, [{"status": "in transit", "place": place}, {"ticker": "ACME", "price": price}])
        tools = ["get_order_status", "get_stock_price"]
        found.append(case("round-trip", n, "", tools, [], messages=[user, *back], says=[place], says_too=[str(price)]))
    return found


_PEOPLE = [
    ("Mara Kowalski", "m.kowalski@example.org"), ("Ivo Lindqvist", "ivo.l@example.net"), ("Lin Zhao", "lin-zhao@example.com"),
    ("Noor Haddad", "haddad@example.org"), ("Pia Olsen", "pia_olsen@example.net"), ("Tomás Vega", "tvega@example.com"),
]  # fmt: skip


def second_steps(rng: random.Random) -> list[Case]:
    """A result has come back, and the next tool needs what is in it; some with the reasoning that led to the first call."""
    found = []
    pairs = [(person, word) for person in _PEOPLE for word in ("Lunch", "Invoice")]
    for n, ((name, mail), word) in enumerate(rng.sample(pairs, len(pairs)), start=1):
        request = f"Send an email to {name} with the subject '{word}' and the body 'See you at noon.' Look up the address first."
        user = {"role": "user", "content": request}
        thought = {"reasoning_content": f"I need the address of {name}. I will look it up first."} if n % 2 else {}
        back = turn([(f"calls{n:04}", "lookup_contact", {"name": name})], [{"name": name, "email": mail}], **thought)
        right = call("send_email", to=mail, subject=word, body=["See you at noon.", "See you at noon"])
        kind = "reasoned-step" if thought else "second-step"
        found.append(case(kind, n, "", ["lookup_contact", "send_email", "save_note"], [right], messages=[user, *back]))
    return found


def forced(rng: random.Random) -> list[Case]:
    """The request says which tool is called, that some is, or that none is."""
    found = []
    asked = different(rng, 24)
    cities = [*_CITIES, "Dublin", "Accra", "Lima", "Riga", "Perth", "Osaka"]
    for n in range(1, 13):
        city = cities[n - 1]
        user = f"I am thinking about {city} today."
        found.append(case("named", n, user, ["get_weather", "save_note"], [call("get_weather")], choice="get_weather"))
    for n in range(1, 13):
        user, tool, right = asked[n - 1]
        found.append(case("required", n, user, [tool, "save_note"], [call(tool, **right)], choice="required"))
    for n in range(1, 13):
        user, tool, _ = asked[n + 11]
        found.append(case("none", n, user, [tool, "save_note"], [], choice="none"))
    return found


_FOREIGN = [
    ("北京现在天气怎么样?", "Beijing", ["CJK"]), ("東京の今の天気を教えてください。", "Tokyo", ["CJK", "HIRAGANA", "KATAKANA"]),
    ("서울의 지금 날씨를 알려 주세요.", "Seoul", ["HANGUL", "CJK"]), ("Какая сейчас погода в Москве?", "Moscow", ["CYRILLIC"]),
    ("ما حالة الطقس في القاهرة الآن؟", "Cairo", ["ARABIC"]), ("Τι καιρό κάνει τώρα στην Αθήνα;", "Athens", ["GREEK"]),
    ("दिल्ली में अभी मौसम कैसा है?", "Delhi", ["DEVANAGARI"]), ("מה מזג האוויר עכשיו בחיפה?", "Haifa", ["HEBREW"]),
    ("ตอนนี้อากาศที่กรุงเทพเป็นอย่างไร", "Bangkok", ["THAI"]), ("Яка зараз погода в Києві?", "Kyiv", ["CYRILLIC"]),
]  # fmt: skip


def _chinese(number: int) -> str:
    """A number from 11 to 99 in Chinese numerals."""
    digits = "零一二三四五六七八九"
    tens, ones = divmod(number, 10)
    return (digits[tens] if tens > 1 else "") + "十" + (digits[ones] if ones else "")


def languages(rng: random.Random) -> list[Case]:
    """A question in another script, answered from a result: in that script."""
    found = []
    for n, (user, city, scripts) in enumerate(_FOREIGN, start=1):
        degrees = rng.randint(11, 38)
        back = turn([("calll0001", "get_weather", {"city": city})], [{"temperature": degrees, "unit": "celsius"}])
        turns = [{"role": "user", "content": user}, *back]
        says = [str(degrees), *([_chinese(degrees)] if "CJK" in scripts else [])]
        found.append(case("language", n, "", ["get_weather"], [], messages=turns, says=says, scripts=scripts))
    return found


def streamed(cases: list[Case], rng: random.Random) -> list[Case]:
    """Some of the other cases again, asked for as a stream."""
    kinds = ["must-call", "choose", "parallel", "special", "must-not-call", "round-trip", "required", "nested"]
    picked = [one for kind in kinds for one in rng.sample([c for c in cases if c["kind"] == kind], 3)]
    return [one | {"id": f"{one['id']}-stream", "kind": "stream", "stream": True, "twin": one["id"]} for one in picked]


def generated() -> str:
    """The contents of ``cases.jsonl``."""
    cases: list[Case] = []
    for make in (
        must_call,
        must_not_call,
        choose,
        parallel,
        nested,
        special,
        round_trips,
        second_steps,
        forced,
        languages,
    ):
        cases += make(random.Random(f"fidelity-tools-{make.__name__}-1"))  # noqa: S311 - no secret
    cases += streamed(cases, random.Random("fidelity-tools-stream-1"))  # noqa: S311
    lines = [one | {"tools": [TOOLS[name] for name in one["tools"]]} for one in cases]
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in lines)


if __name__ == "__main__":
    (HERE / "cases.jsonl").write_text(generated(), encoding="utf-8")

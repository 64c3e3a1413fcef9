"""``--budget`` and ``--price``, read in one way by every verb that asks an endpoint."""

from __future__ import annotations

import click

from harness.targets.endpoint.budget import Caps


def read_caps(budget: str, price: str) -> Caps:
    """Hard caps and prices as the command line writes them."""
    found: dict[str, float] = {}
    try:
        for part in budget.split(",") if budget else ():
            name, _, value = part.strip().partition("=")
            if name not in {"requests", "tokens", "seconds", "money"} or not float(value) > 0:
                raise ValueError(name)
            found[name] = float(value)
        if price:
            found["price_in"], found["price_out"] = (float(part) for part in price.split("/"))
    except ValueError as error:
        raise click.UsageError(
            "write --budget tokens=20000,seconds=600,money=0.5 and --price IN/OUT per million tokens"
        ) from error
    if "money" in found and not price:
        raise click.UsageError("a budget of money needs --price IN/OUT")
    return Caps.model_validate(found)

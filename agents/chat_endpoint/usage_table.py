"""The usage of chat endpoints as a table for people."""

from __future__ import annotations

from rich.table import Table

from agents.chat_endpoint.ledger import Ledger


def usage_table(ledger: Ledger) -> Table:
    """Return requests, tokens and dollars by role and model; no dollars where there is no price."""
    table = Table("role", "model", title="chat endpoints", title_justify="left")
    for heading in ("requests", "tokens read", "of them cached", "tokens written", "US dollars"):
        table.add_column(heading, justify="right")
    for (role, model), usage in sorted(ledger.usage.items()):
        price = ledger.prices.get(model)
        numbers = (usage.requests, usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens)
        cost = "" if price is None else f"{price.cost(usage):.4f}"
        table.add_row(role, model, *(f"{number:,}" for number in numbers), cost)
    return table

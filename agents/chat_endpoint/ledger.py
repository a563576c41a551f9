"""What was used and what it costs: tokens by role and model, prices, and the most that may be spent."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.chat_endpoint.errors import BadChatReply, MaxCostReached

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class Usage:
    """Requests and tokens.

    Attributes:
        requests: Completions received.
        prompt_tokens: Tokens read, cached ones included.
        completion_tokens: Tokens written, hidden reasoning included.
        cached_tokens: Prompt tokens that the endpoint had in its cache.
    """

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs, in US dollars per million tokens.

    Attributes:
        prompt: Price of tokens read.
        completion: Price of tokens written.
        cached: Price of tokens read from the endpoint's cache; that of `prompt` if None.

    Raises:
        ValueError: If a price is below 0.
    """

    prompt: float
    completion: float
    cached: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and not value >= 0:
                raise ValueError(f"the price {field.name} must be 0 or more dollars, got {value}")

    def cost(self, usage: Usage) -> float:
        """Return US dollars.

        >>> Price(prompt=2.0, completion=8.0, cached=0.5).cost(Usage(1, 1_000_000, 500_000, 400_000))
        5.4
        """
        cached = self.prompt if self.cached is None else self.cached
        fresh = usage.prompt_tokens - usage.cached_tokens
        millionths = fresh * self.prompt + usage.cached_tokens * cached
        return (millionths + usage.completion_tokens * self.completion) / 1e6


class Ledger:
    """Adds up what clients use; may be shared between clients and threads.

    Args:
        prices: Price by model; models without one count as free of charge in `cost`.
        max_cost: US dollars that may be spent. Nothing is sent once they are; requests under way are still
            paid for, so that the cost may end above it by what those cost.

    Attributes:
        usage: What was used, by role and model.

    Raises:
        ValueError: If `max_cost` is not above 0.

    Example:
        >>> ledger = Ledger({"small": Price(0.1, 0.4)})
        >>> ledger.add("solver", "small", Usage(1, 2_000, 100))
        >>> f"{ledger.cost():.6f}"
        '0.000240'
    """

    def __init__(self, prices: Mapping[str, Price] | None = None, max_cost: float | None = None) -> None:
        if max_cost is not None and not max_cost > 0:
            raise ValueError(f"max_cost must be above 0 dollars, got {max_cost}")
        self.prices = dict(prices or {})
        self.max_cost = max_cost
        self.usage: dict[tuple[str, str], Usage] = {}
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def allow(self, model: str) -> None:
        """Check that a request may be sent.

        Raises:
            MaxCostReached: If `max_cost` is spent.
            ValueError: If there is a `max_cost` and no price of the model.
        """
        if self.max_cost is None:
            return
        if model not in self.prices:
            known = ", ".join(sorted(self.prices)) or "none"
            raise ValueError(f"max_cost needs the price of model {model!r}; there are prices of: {known}")
        if (cost := self.cost()) >= self.max_cost:
            raise MaxCostReached(f"${cost:.4f} are spent, max_cost allows ${self.max_cost:g}")

    def add(self, role: str, model: str, usage: Usage | None) -> None:
        """Count a completion; None if the endpoint did not say what it used.

        Raises:
            BadChatReply: If it did not, and there is a `max_cost` to keep.
        """
        if usage is None and self.max_cost is not None:
            raise BadChatReply("expected the field `usage`, without which max_cost cannot be kept")
        with self._lock:
            self.usage[role, model] = self.usage.get((role, model), Usage()) + (usage or Usage(1))

    def cost(self) -> float:
        """Return the US dollars spent so far on models with a price."""
        with self._lock:
            used = list(self.usage.items())
        return sum(self.prices[model].cost(usage) for (_, model), usage in used if model in self.prices)


def read_prices(path: Path) -> dict[str, Price]:
    """Read prices from JSON: `{"MODEL": {"prompt": 0.1, "completion": 0.4, "cached": 0.05}, ...}`.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it holds something else.
    """
    expected = 'expected dollars per million tokens, {"MODEL": {"prompt": 0.1, "completion": 0.4}}'
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        return {model: Price(**price) for model, price in table.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: {expected}: {error}") from None


def usage_table(ledger: Ledger) -> Table:
    """Return requests, tokens and dollars by role and model; no dollars where there is no price."""
    from rich.table import Table

    table = Table("role", "model", title="chat endpoints", title_justify="left")
    for heading in ("requests", "tokens read", "of them cached", "tokens written", "US dollars"):
        table.add_column(heading, justify="right")
    for (role, model), usage in sorted(ledger.usage.items()):
        price = ledger.prices.get(model)
        numbers = (usage.requests, usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens)
        cost = "" if price is None else f"{price.cost(usage):.4f}"
        table.add_row(role, model, *(f"{number:,}" for number in numbers), cost)
    return table

"""What the configuration of another framework says about our games."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar

from agents.conversation_tokens import Rendering
from ssp_env.integrations.configured import configured_scenario
from ssp_env.objects import check_least, load_object
from ssp_env.scenario import Engines, Scenario
from ssp_env.search.shared import SharedEngine


@dataclass(frozen=True)
class HostedOptions:
    """Games on the rollout servers of a framework.

    Attributes:
        scenario: What games are played in, as `Scenario.from_dict` takes it: a corpus, its search, rules.
        max_new_tokens: Most tokens of a turn.
        rendering: `chat` uses the model's chat template, `plain` joins messages line by line.
        reader: Who answers the RAG check, `module:object`; the policy itself if None.
        judge: Who judges answers that are not the right one word for word, `module:object`, where the rules
            say so.
    """

    where: ClassVar[str] = "the scenario"
    """What a user of the framework calls the place of `scenario`, for errors."""

    scenario: Mapping[str, Any] = field(default_factory=dict)
    max_new_tokens: int = 1024
    rendering: Rendering = "chat"
    reader: str | None = None
    judge: str | None = None

    def check(self) -> None:
        """Refuse what cannot be played, before the first game.

        Raises:
            ValueError: If no corpus is named, the rules ask a judge that is not named, or a value is out of
                its range.
        """
        check_least(1, max_new_tokens=self.max_new_tokens)
        if self.rendering not in ("chat", "plain"):
            raise ValueError(f"rendering must be 'chat' or 'plain', got {self.rendering!r}")
        if self.opened.rules.judge and self.judge is None:
            raise ValueError("the rules ask a judge (judge=true), and none is named: judge='module:object'")
        for role in ("reader", "judge"):
            self.load(role)

    @property
    def opened(self) -> Scenario:
        """The scenario, opened once in a process."""
        return configured_scenario(self.scenario, self.where)

    @property
    def engines(self) -> Engines:
        """What searches, shared by all games of a process."""
        return _shared(json.dumps(dict(self.scenario), sort_keys=True))

    def load(self, role: str) -> Any:
        """Return the reader or the judge that is named; None if none is."""
        name = getattr(self, role)
        return None if name is None else load_object(name, role)


@cache
def _shared(scenario: str) -> Engines:
    search: Any = configured_scenario(json.loads(scenario), "the scenario").search
    if isinstance(search, Mapping):
        return {corpus: SharedEngine(engine) for corpus, engine in search.items()}
    return SharedEngine(search)

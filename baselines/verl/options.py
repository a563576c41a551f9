"""What a configuration of verl says about our games: `data.ssp`, for the data set and for the loop."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

from agents.conversation_tokens import Rendering
from ssp_env.game.config import check_names
from ssp_env.integrations.configured import configured_scenario
from ssp_env.objects import load_object
from ssp_env.scenario import Engines, Scenario
from ssp_env.search.shared import SharedEngine


@dataclass(frozen=True)
class GameOptions:
    """The keys of `data.ssp`.

    Attributes:
        scenario: What games are played in, as `Scenario.from_dict` takes it: a corpus, its search, rules.
        max_new_tokens: Most tokens of a turn.
        rendering: `chat` uses the model's chat template, `plain` joins messages line by line.
        reader: Who answers the RAG check, `module:object`; the policy itself if None.
        judge: Who judges answers that are not the right one word for word, `module:object`, where the rules
            say so.
    """

    scenario: Mapping[str, Any] = field(default_factory=dict)
    max_new_tokens: int = 1024
    rendering: Rendering = "chat"
    reader: str | None = None
    judge: str | None = None

    @classmethod
    def of(cls, data: Any) -> GameOptions:
        """Read verl's `data` section.

        Raises:
            ValueError: If it has no `ssp`, an option has another name, or there is nothing to play over.
        """
        from omegaconf import OmegaConf

        if data.get("ssp") is None:
            raise ValueError(
                "the configuration has no data.ssp: it says what is played over, "
                "+data.ssp.scenario.corpus=FILE for example"
            )
        given = OmegaConf.to_container(OmegaConf.create(data.get("ssp")), resolve=True)
        assert isinstance(given, dict)
        check_names(given, [option.name for option in fields(cls)], "key of data.ssp")
        options = cls(**given)
        options.opened  # noqa: B018 - refuses what cannot be opened
        return options

    @property
    def opened(self) -> Scenario:
        """The scenario, opened once in a process."""
        return configured_scenario(self.scenario, "data.ssp.scenario")

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
    search: Any = configured_scenario(json.loads(scenario), "data.ssp.scenario").search
    if isinstance(search, Mapping):
        return {corpus: SharedEngine(engine) for corpus, engine in search.items()}
    return SharedEngine(search)

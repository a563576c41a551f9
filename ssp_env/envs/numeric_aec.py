"""Both sides of terse games in numbers, as a PettingZoo environment of agents that act in turns (AEC)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import nan
from typing import Any, ClassVar, TypeAlias

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Box, Dict, Discrete
from gymnasium.utils import seeding
from numpy.typing import NDArray
from pettingzoo import AECEnv

from ssp_env.envs import aec
from ssp_env.envs.drawn_worlds import DrawnWorlds
from ssp_env.envs.infos import as_numbers
from ssp_env.envs.lookup_solver import LookupSolver
from ssp_env.envs.numeric_seats import check_action, check_terse, seat_of
from ssp_env.game import Game
from ssp_env.play import AnyPlayer
from ssp_env.scenario import HOPS, Rules, Scenario
from ssp_env.worlds.config import Split

Numbers: TypeAlias = dict[str, NDArray[Any]]


class raw_env(AECEnv[str, Numbers, int | None]):  # type: ignore[misc]
    """The environment itself; the docstring of `ssp_env.numeric_search_self_play_v0` is its rule book.

    Args:
        split: `train`, or `heldout` for worlds that nothing trains on.
        entities: Most entities that are numbered; later ones cannot be named.
        world: What the worlds are like, as for `NewWorldsEnv`; they must be terse.
        worlds: How many worlds there are to draw from.
        hops: Numbers of hops to draw from.
        rules: Rules that differ from the usual ones, as `open_scenario` takes them: `attempts`, say.
        reader: Frozen player that answers the RAG check; a `LookupSolver` by default.
        render_mode: `human`, `ansi`, `html` or None.
        numeric_infos: Whether infos hold numbers alone, under the same keys from `reset` on.
        fill_value: What such infos hold for what is not known, or not yet; some libraries refuse NaN.

    Raises:
        ValueError: If an argument is out of range, or the worlds are not terse.
    """

    metadata: ClassVar[dict[str, Any]] = {**aec.raw_env.metadata, "name": "numeric_search_self_play_v0"}

    def __init__(
        self,
        split: Split = "train",
        *,
        entities: int = 24,
        world: str = "tiny",
        worlds: int = 10_000,
        hops: Sequence[int] = HOPS,
        rules: Rules | None = None,
        reader: AnyPlayer | None = None,
        render_mode: str | None = None,
        numeric_infos: bool = False,
        fill_value: float = nan,
    ) -> None:
        super().__init__()
        self.entities, self.render_mode = entities, render_mode
        self._numeric_infos, self._fill_value = numeric_infos, fill_value
        make = partial(_make, reader=reader or LookupSolver(), render_mode=render_mode)
        self._drawn = DrawnWorlds(
            make, split=split, world=world, worlds=worlds, hops=hops, prompts=None, rules=rules
        )
        scenario, self._text_env = self._drawn.open(0)
        self.rules = scenario.rules
        check_terse(self.rules, world)
        self.possible_agents = list(self._text_env.possible_agents)
        self._seats = {
            agent: seat_of("proposer" if agent == self.possible_agents[0] else "solver", entities, self.rules)
            for agent in self.possible_agents
        }
        self._size = max(seat.size for seat in self._seats.values())
        self._actions = max(seat.actions for seat in self._seats.values())
        self.observation_spaces = {agent: self._described() for agent in self.possible_agents}
        self.action_spaces = {agent: Discrete(self._actions) for agent in self.possible_agents}
        self.agents: list[str] = []
        self._rng: np.random.Generator | None = None
        self._numbers: dict[str, NDArray[np.float32]] = {}

    def observation_space(self, agent: str) -> Dict:
        """Return the agent's observation space, always the same object."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Discrete:
        """Return the agent's action space, always the same object."""
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: Mapping[str, Any] | None = None) -> None:
        """Draw a world and a task in it, and start a game.

        Args:
            seed: Seed of this and the following games; None goes on with the generator there is.
            options: `world` plays in the world of that number.

        Raises:
            ValueError: If there is no world of that number.
        """
        if seed is not None or self._rng is None:
            self._rng = seeding.np_random(seed)[0]
        scenario, self._text_env = self._drawn.draw(self._rng, options)
        assert scenario.world is not None
        self._world = scenario.world.id
        self._text_env.reset(seed=int(self._rng.integers(2**63)))
        self._numbers = {}
        self._follow()

    def step(self, action: int | None) -> None:
        """Let the selected agent act.

        Args:
            action: Its number; one that is not there now is an empty turn. None, and only None, for an agent
                whose game is over.

        Raises:
            ValueError: If there is no action of this number.
            gymnasium.error.ResetNeeded: If no game is going on.
        """
        if not self.agents:
            raise ResetNeeded("no game is going on: call reset() before step()")
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            self._text_env.step(action)  # type: ignore[arg-type]
        else:
            check_action(action, self.action_space(agent))
            text = self._seats[agent].text(int(action))  # type: ignore[arg-type]
            if text is not None:
                self._text_env.step(text)
        self._follow()

    def observe(self, agent: str) -> Numbers:
        """Return what an agent knew at its last turn; all zeros before the first."""
        known = self._numbers.get(agent, np.zeros(0, np.float32))
        return {"observation": _padded(known, self._size), "action_mask": self._mask(agent)}

    def render(self) -> str | None:
        """Describe the game so far, as `search_self_play_v0` does."""
        return self._text_env.render()

    @property
    def game(self) -> Game:
        """The game that is played, which hides nothing: for spectators."""
        return self._text_env.game

    def _follow(self) -> None:
        """Show how the game of text stands: whose turn it is, what that agent sees, who is paid."""
        text = self._text_env
        self.agents, self.rewards, self._cumulative_rewards = (
            text.agents,
            text.rewards,
            text._cumulative_rewards,
        )
        self.terminations, self.truncations = text.terminations, text.truncations
        if not self.agents:
            self.infos = {}
            return
        agent = self.agent_selection = text.agent_selection
        if text.game.outcome is None:
            messages = text.infos[agent]["messages"]
            if agent not in self._numbers:
                self._seats[agent].begin(messages[0]["content"])
            self._numbers[agent] = self._seats[agent].look(text.observe(agent), messages)
        self.infos = {
            agent: {**self._told(info), "action_mask": self._mask(agent)}
            for agent, info in text.infos.items()
        }

    def _told(self, info: dict[str, Any]) -> dict[str, Any]:
        if self._numeric_infos:
            return dict(as_numbers(info, self.rules, self._fill_value))
        return {**info, "world": self._world}

    def _mask(self, agent: str) -> NDArray[np.int8]:
        """Return which actions there are; there are none for those whose turn it is not."""
        acts = self.agents and agent == self.agent_selection and self.game.outcome is None
        return _padded(self._seats[agent].mask if acts else np.zeros(0, np.int8), self._actions)

    def _described(self) -> Dict:
        observation = Box(0.0, 1.0, (self._size,), np.float32)
        return Dict({"observation": observation, "action_mask": Box(0, 1, (self._actions,), np.int8)})


def _make(scenario: Scenario, reader: AnyPlayer, render_mode: str | None) -> aec.raw_env:
    return aec.raw_env(scenario=scenario, reader=reader, render_mode=render_mode)


def _padded(numbers: NDArray[Any], size: int) -> NDArray[Any]:
    return np.concatenate([numbers, np.zeros(size - len(numbers), numbers.dtype)])

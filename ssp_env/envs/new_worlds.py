"""Gymnasium environments whose every episode is played in another generated world, for agents that learn.

| Id                                | The agent | Worlds                                                  |
|-----------------------------------|-----------|---------------------------------------------------------|
| `SearchSelfPlay/Solver-v1`        | solver    | training worlds                                         |
| `SearchSelfPlay/SolverHeldout-v1` | solver    | worlds, and pairs of relations, that nothing trains on  |
| `SearchSelfPlay/Proposer-v1`      | proposer  | training worlds                                         |
| `SearchSelfPlay/ProposerHeldout-v1` | proposer | worlds that nothing trains on                          |

Observations, actions, rewards and infos are those of `ssp_env.envs.single_agent`. Names and facts are others
in every world, so that nothing can be learnt by heart; `info["world"]` names the world of the episode. The
ids of version 0 play in one world, whose 120 questions can be learnt by heart: they are smoke tests.

>>> import gymnasium, ssp_env
>>> env = gymnasium.make("SearchSelfPlay/Solver-v1", hops=(1,))
>>> observation, info = env.reset(seed=0)
>>> info["world"]
'tiny-train-...'
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import gymnasium
from cachetools import LRUCache
from gymnasium.error import ResetNeeded

from ssp_env.envs.single_agent import Player, ProposerEnv, SolverEnv
from ssp_env.game import Task, View
from ssp_env.scenario import HOPS, Rules, Scenario, open_scenario
from ssp_env.worlds.config import Split, WorldConfig
from ssp_env.worlds.world import MAX_HOPS, Compositions

_KEPT_WORLDS = 64


_OF_ONES_OWN = ("scenario", "questions", "proposer", "tasks", "search")


def make(
    role: Literal["solver", "proposer"] = "solver", split: Split = "train", **arguments: Any
) -> gymnasium.Env[dict[str, Any], str]:
    """Make what the ids stand for: the entry point of `gymnasium.make`.

    Args:
        role: Whose turns the agent takes.
        split: Of which worlds.
        arguments: Those of `NewWorldsEnv`; or of `SolverEnv` or `ProposerEnv` if one of them is a scenario,
            questions, tasks, an engine or a proposer of your own.

    Raises:
        ValueError: If held-out worlds are asked for and something of one's own is given.
    """
    given = [name for name in _OF_ONES_OWN if name in arguments]
    if not given:
        return NewWorldsEnv(role, split=split, **arguments)
    if split == "heldout":
        raise ValueError(
            f"held-out worlds are generated: leave out {given[0]}=, or make the id without Heldout"
        )
    return SolverEnv(**arguments) if role == "solver" else ProposerEnv(**arguments)


class NewWorldsEnv(gymnasium.Env[dict[str, Any], str]):
    """A seat of the game in a world that is drawn anew for each episode.

    Args:
        role: Whose turns the agent takes.
        split: `train`, or `heldout` for worlds that nothing trains on.
        world: What the worlds are like: a preset (`tiny`, `small`), or a rendering, a schema and a number of
            entities and of links, such as `terse_core_48x3` or `prose_full_500x3`.
        worlds: How many worlds there are to draw from.
        hops: Numbers of hops to draw from.
        compositions: Which questions a solver is asked: without pairs of relations that are held out
            (`train`), with one (`heldout`), or either (`all`). By default `train` in training worlds and
            `all` in held-out ones.
        prompts: Style of prompts; `terse` in terse worlds by default, else `english`.
        rules: Rules that differ from the usual ones, as `open_scenario` takes them: `top_k`, say, or
            `noise_passages`.
        solver: Frozen player that answers a proposer's questions; a `LookupSolver` in terse worlds by
            default.
        render_mode: `human`, `ansi`, `html` or None.

    Raises:
        ValueError: If an argument is out of range; the message says what was expected.
    """

    metadata: ClassVar[dict[str, Any]] = SolverEnv.metadata  # type: ignore[misc]

    def __init__(
        self,
        role: Literal["solver", "proposer"] = "solver",
        *,
        split: Split = "train",
        world: str = "tiny",
        worlds: int = 10_000,
        hops: Sequence[int] = HOPS,
        compositions: Compositions | None = None,
        prompts: str | None = None,
        rules: Rules | None = None,
        solver: Player | None = None,
        render_mode: str | None = None,
    ) -> None:
        _check(role, worlds, hops, solver)
        self._role, self._family, self._split, self._worlds = role, world, split, worlds
        self._hops = tuple(hops)
        self._compositions: Compositions = compositions or ("train" if split == "train" else "all")
        self._prompts, self._rules, self._solver = prompts, rules, solver
        self.render_mode = render_mode
        self._opened: LRUCache[int, tuple[Scenario, SolverEnv | ProposerEnv]] = LRUCache(_KEPT_WORLDS)
        self._env: SolverEnv | ProposerEnv | None = None
        scenario, first = self._open(0)
        self.rules = scenario.rules
        self.observation_space, self.action_space = first.observation_space, first.action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Draw a world and a task in it, and start a game.

        Args:
            seed: Seed of this and the following episodes; None goes on with the generator there is.
            options: `world` plays in the world of that number.

        Raises:
            ValueError: If there is no world of that number.
        """
        super().reset(seed=seed)
        drawn = int(self.np_random.integers(self._worlds))
        index = (options or {}).get("world", drawn)
        if type(index) is not int or not 0 <= index < self._worlds:
            raise ValueError(f"options['world'] must be from 0 to {self._worlds - 1}, got {index!r}")
        scenario, self._env = self._open(index)
        task = self._draw(scenario)
        observation, info = self._env.reset(seed=int(self.np_random.integers(2**63)), options={"task": task})
        return observation, self._named(info, scenario)

    def step(self, action: str) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Let the agent write `action`, as `SolverEnv.step` and `ProposerEnv.step` do.

        Raises:
            TypeError: If the action is not a string.
            gymnasium.error.ResetNeeded: If no game is going on.
        """
        env = self._playing()
        observation, reward, terminated, truncated, info = env.step(action)
        return observation, reward, terminated, truncated, self._named(info, env.scenario)

    def render(self) -> str | None:
        """Describe the game so far, as `SolverEnv.render` does."""
        return self._playing().render()

    @property
    def view(self) -> View:
        """What the agent sees, in the form that players take; only while a game is going on."""
        return self._playing().view

    @property
    def scenario(self) -> Scenario:
        """What the present episode is played in: its world, engine, rules and oracle."""
        return self._playing().scenario

    def _playing(self) -> SolverEnv | ProposerEnv:
        if self._env is None:
            raise ResetNeeded("no game is going on: call reset() first")
        return self._env

    def _open(self, index: int) -> tuple[Scenario, SolverEnv | ProposerEnv]:
        if index not in self._opened:
            world = WorldConfig.from_id(f"{self._family}-{self._split}-{index}").id
            scenario = open_scenario(world, hops=self._hops, prompts=self._prompts, rules=self._rules)
            env: SolverEnv | ProposerEnv
            if self._role == "solver":
                env = SolverEnv(scenario=scenario, render_mode=self.render_mode)
            else:
                env = ProposerEnv(scenario=scenario, solver=self._solver, render_mode=self.render_mode)
            self._opened[index] = scenario, env
        return self._opened[index]

    def _draw(self, scenario: Scenario) -> Task:
        if self._role == "proposer":
            return scenario.tasks[int(self.np_random.integers(len(scenario.tasks)))]
        world = scenario.world
        assert world is not None
        hops = int(self.np_random.choice(self._hops))
        (question,) = world.questions(hops, 1, self.np_random, self._compositions)
        return replace(question.task, id=f"{world.id}/{hops}")

    @staticmethod
    def _named(info: dict[str, Any], scenario: Scenario) -> dict[str, Any]:
        assert scenario.world is not None
        return {**info, "world": scenario.world.id}


def _check(role: str, worlds: int, hops: Sequence[int], solver: Player | None) -> None:
    if role not in ("solver", "proposer"):
        raise ValueError(f"role must be solver or proposer, got {role!r}")
    if worlds < 1:
        raise ValueError(f"worlds must be at least 1, got {worlds}")
    if not hops or any(type(number) is not int or not 1 <= number <= MAX_HOPS for number in hops):
        raise ValueError(f"hops must be whole numbers from 1 to {MAX_HOPS}, got {list(hops)}")
    if solver is not None and role == "solver":
        raise ValueError("solver answers a proposer's questions: it goes with role='proposer'")

"""Gymnasium environments whose every episode is played in another generated world, for agents that learn.

| Id                                | The agent | Worlds                                                  |
|-----------------------------------|-----------|---------------------------------------------------------|
| `SearchSelfPlay/Solver-v1`        | solver    | training worlds                                         |
| `SearchSelfPlay/SolverHeldout-v1` | solver    | worlds, and pairs of relations, that nothing trains on  |
| `SearchSelfPlay/Proposer-v1`      | proposer  | training worlds                                         |
| `SearchSelfPlay/ProposerHeldout-v1` | proposer | worlds that nothing trains on                          |

Observations, actions, rewards and infos are those of `ssp_env.envs.single_agent`. Every world has names and
facts of its own, so that nothing can be learnt by heart; `info["world"]` names the world of the episode. The
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
from typing import Any, ClassVar, Literal, get_args

import gymnasium
from gymnasium.error import ResetNeeded

from ssp_env.envs.drawn_worlds import DrawnWorlds
from ssp_env.envs.single_agent import Player, ProposerEnv, SolverEnv
from ssp_env.game import Reply, Task, View
from ssp_env.scenario import HOPS, Rules, Scenario
from ssp_env.worlds.config import Split
from ssp_env.worlds.world import Compositions

_OF_ONES_OWN = ("scenario", "questions", "proposer", "tasks", "search")


def make(
    role: Literal["solver", "proposer"] = "solver", split: Split = "train", **arguments: Any
) -> gymnasium.Env[dict[str, Any], str]:
    """Make what the ids stand for: the entry point of `gymnasium.make`.

    Args:
        role: Whose turns the agent takes.
        split: `train` or `heldout` worlds.
        arguments: Those of `NewWorldsEnv`; or of `SolverEnv` or `ProposerEnv` if one of them is a scenario,
            questions, tasks, an engine or a proposer of your own.

    Raises:
        ValueError: If held-out worlds are asked for and one of these is given.
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
            (`train`), with one (`heldout`, which needs two hops), or either (`all`). By default `train` in
            training worlds and `all` in held-out ones.
        prompts: Style of prompts; `terse` in terse worlds by default, else `english`.
        rules: Rules that differ from the usual ones, as `open_scenario` takes them: `top_k`, say, or
            `noise_passages`.
        solver: Frozen player that answers a proposer's questions; a `LookupSolver` in terse worlds by
            default.
        render_mode: `human`, `ansi`, `html` or None.

    Raises:
        ValueError: If an argument is out of range; the message says what was expected.
        TypeError: If `solver` is no player, or an asynchronous one.
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
        if role not in ("solver", "proposer"):
            raise ValueError(f"role must be solver or proposer, got {role!r}")
        if solver is not None and role == "solver":
            raise ValueError("solver answers a proposer's questions: it goes with role='proposer'")
        _check_compositions(compositions, role, hops)
        self._role, self._hops, self._solver = role, tuple(hops), solver
        self._compositions: Compositions = compositions or ("train" if split == "train" else "all")
        self.render_mode = render_mode
        self._drawn = DrawnWorlds(
            self._make, split=split, world=world, worlds=worlds, hops=hops, prompts=prompts, rules=rules
        )
        self._env: SolverEnv | ProposerEnv | None = None
        scenario, first = self._drawn.open(0)
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
        scenario, self._env = self._drawn.draw(self.np_random, options)
        task = self._draw(scenario)
        observation, info = self._env.reset(seed=int(self.np_random.integers(2**63)), options={"task": task})
        return observation, self._named(info, scenario)

    def step(self, action: str | Reply) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Let the agent write `action`, as `SolverEnv.step` and `ProposerEnv.step` do.

        Raises:
            TypeError: If the action is neither a string nor a `Reply`.
            gymnasium.error.ResetNeeded: If no game is going on.
        """
        env = self._playing()
        observation, reward, terminated, truncated, info = env.step(action)
        return observation, reward, terminated, truncated, self._named(info, env.scenario)

    def render(self) -> str | None:
        """Describe the game so far, as `SolverEnv.render` does.

        Raises:
            gymnasium.error.ResetNeeded: If there was no game yet.
        """
        return self._playing().render()

    @property
    def view(self) -> View:
        """What the agent sees, in the form that players take.

        Raises:
            gymnasium.error.ResetNeeded: If no game is going on.
        """
        return self._playing().view

    @property
    def scenario(self) -> Scenario:
        """What the present episode is played in: its world, engine, rules and oracle.

        Raises:
            gymnasium.error.ResetNeeded: If there was no episode yet.
        """
        return self._playing().scenario

    def _playing(self) -> SolverEnv | ProposerEnv:
        if self._env is None:
            raise ResetNeeded("no game is going on: call reset() first")
        return self._env

    def _make(self, scenario: Scenario) -> SolverEnv | ProposerEnv:
        if self._role == "solver":
            return SolverEnv(scenario=scenario, render_mode=self.render_mode)
        return ProposerEnv(scenario=scenario, solver=self._solver, render_mode=self.render_mode)

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


def _check_compositions(compositions: str | None, role: str, hops: Sequence[int]) -> None:
    if compositions is not None and role == "proposer":
        raise ValueError("compositions are of a solver's questions: they go with role='solver'")
    if compositions is not None and compositions not in get_args(Compositions):
        known = ", ".join(get_args(Compositions))
        raise ValueError(f"compositions must be one of {known}, got {compositions!r}")
    if compositions == "heldout" and 1 in hops:
        raise ValueError(f"no question of one hop has a pair of relations: leave 1 out of hops, got {hops}")

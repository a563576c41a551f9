"""The parallel API over an environment whose agents act in turns and end together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from gymnasium.error import ResetNeeded
from gymnasium.spaces import Space
from pettingzoo import AECEnv, ParallelEnv

from ssp_env.game import Reply

Observations: TypeAlias = dict[str, dict[str, Any]]
Spaces: TypeAlias = dict[str, Space[Any]]
Infos: TypeAlias = dict[str, dict[str, Any]]


class TurnBasedParallelEnv(ParallelEnv[str, dict[str, Any], str | Reply | None]):  # type: ignore[misc]
    """The parallel API of an AEC environment: one step is one turn of one agent.

    Every info names the agent to act as `active_agent`, after `reset` as after each step; once the game is
    over it is None. Spaces, seeds, rewards and rendering are those of the environment beneath, `aec`.

    Args:
        aec: The environment, without wrappers; its agents must all end in the same step.
        numeric_infos: Whether `active_agent` is an index in `possible_agents`, -1 once the game is over.
    """

    def __init__(
        self, aec: AECEnv[str, dict[str, Any], str | Reply | None], *, numeric_infos: bool = False
    ) -> None:
        self.aec = aec
        self._numeric_infos = numeric_infos
        self.metadata = aec.metadata
        self.render_mode = aec.render_mode
        self.possible_agents = list(aec.possible_agents)
        self.agents: list[str] = []
        self.observation_spaces: Spaces = {
            agent: aec.observation_space(agent) for agent in self.possible_agents
        }
        self.action_spaces: Spaces = {agent: aec.action_space(agent) for agent in self.possible_agents}

    def observation_space(self, agent: str) -> Space[Any]:
        """Return the agent's observation space, always the same object."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Space[Any]:
        """Return the agent's action space, always the same object."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Observations, Infos]:
        """Start a game; arguments and errors are those of the environment beneath.

        Returns:
            Observations and infos by agent.
        """
        self.aec.reset(seed=seed, options=options)
        self.agents = list(self.aec.agents)
        return self._observations(), self._infos()

    def step(
        self, actions: Mapping[str, str | Reply | None]
    ) -> tuple[Observations, dict[str, float], dict[str, bool], dict[str, bool], Infos]:
        """Let the active agent act.

        Args:
            actions: Actions by agent; only the active agent's is needed and used.

        Returns:
            Observations, rewards, terminations, truncations and infos by agent.

        Raises:
            ValueError: If the active agent's action is missing or None, or an agent is unknown.
            TypeError: If the active agent's action is neither a string nor a `Reply`.
            gymnasium.error.ResetNeeded: If no game is going on.
        """
        if not self.agents:
            raise ResetNeeded("no game is going on: call reset() before step()")
        unknown = [agent for agent in actions if agent not in self.possible_agents]
        if unknown:
            raise ValueError(
                f"actions must be those of {', '.join(self.possible_agents)}, got one of {unknown[0]!r}"
            )
        active = self.aec.agent_selection
        if actions.get(active) is None:
            given = [agent for agent, action in actions.items() if action is not None]
            raise ValueError(
                f"{active} is the active agent and needs an action, got actions of: "
                f"{', '.join(given) or 'nobody'}"
            )
        self.aec.step(actions[active])
        rewards, terminations = dict(self.aec.rewards), dict(self.aec.terminations)
        truncations = dict(self.aec.truncations)
        self.agents = [agent for agent in self.agents if not (terminations[agent] or truncations[agent])]
        return self._observations(), rewards, terminations, truncations, self._infos()

    def render(self) -> Any:
        """Render as the environment beneath does."""
        return self.aec.render()

    def close(self) -> None:
        """Close the environment beneath."""
        self.aec.close()

    def _observations(self) -> Observations:
        return {agent: self.aec.observe(agent) for agent in self.aec.agents}

    def _infos(self) -> Infos:
        active: str | float | None = self.aec.agent_selection if self.agents else None
        if self._numeric_infos:
            active = float(self.possible_agents.index(active)) if isinstance(active, str) else -1.0
        return {agent: {**info, "active_agent": active} for agent, info in self.aec.infos.items()}

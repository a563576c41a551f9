"""The solver as a resources server of NeMo-Gym, played by its `gymnasium_agent`, and the rows of its data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ssp_env.game import Game, Task, View
from ssp_env.integrations.configured import check_one_attempt, configured_scenario
from ssp_env.integrations.libraries import check_version
from ssp_env.objects import missing_extra
from ssp_env.play import OneSeat
from ssp_env.scenario import Scenario

try:
    from nemo_gym.base_resources_server import BaseResourcesServerConfig
    from nemo_gym.openai_utils import NeMoGymResponse
    from resources_servers.gymnasium import GymnasiumServer, extract_text
except ImportError as error:
    raise missing_extra("nemo-gym", "nemo-gym") from error

check_version("nemo-gym", at_least="0.4", below="0.5", tested="0.4.0")

SOLVER = "solver_0"


class SolverServerConfig(BaseResourcesServerConfig):
    """The server's part of NeMo-Gym's configuration."""

    scenario: dict[str, Any]
    """Plain data of a scenario: what is searched, and by which rules."""


class SolverServer(GymnasiumServer):
    """One session is one attempt at the question of a row, as `solver_rows` writes them.

    The reward comes with the last step. A search that breaks down is an error of the server, so that the
    rollout fails: an answer that nobody could look up is not a wrong one.

    Raises:
        ValueError: If the configuration names no corpus, or its rules give a question several attempts.
    """

    config: SolverServerConfig

    def model_post_init(self, context: Any) -> None:
        """Open the scenario before anybody plays."""
        super().model_post_init(context)
        _scenario(self.config.scenario)

    async def reset(
        self, metadata: dict[str, Any], session_id: str | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Ask the question; the row has the system prompt already.

        Raises:
            ValueError: If the row has no question or no right answer.
        """
        scenario = _scenario(self.config.scenario)
        row = {
            name: metadata[name]
            for name in ("answer", "aliases", "hops", "question", "id")
            if name in metadata
        }
        if not row.get("question") or not row.get("answer"):
            raise ValueError(
                f"expected a row with question and answer, got {', '.join(metadata) or 'nothing'}"
            )
        task = Task(**{**row, "aliases": tuple(row.get("aliases", ()))})
        await self.close_session(session_id)
        seat = OneSeat(Game(task, scenario.rules), SOLVER, search=scenario.search)
        self.session_state[str(session_id)] = await seat.__aenter__()
        return _said(seat.view, 0), {}

    async def step(
        self, action: NeMoGymResponse, metadata: dict[str, Any], session_id: str | None = None
    ) -> tuple[str | None, float, bool, bool, dict[str, Any]]:
        """Let the model write, and return what the environment says to it.

        Raises:
            ValueError: If no game is going on in this session.
            RuntimeError: If the search or the judge broke down.
        """
        seat = self.session_state.get(str(session_id))
        if seat is None or seat.view is None:
            raise ValueError("no game is going on in this session: reset it first")
        told = len(seat.view.messages)
        view = await seat.step(extract_text(action))
        if view is not None:
            return _said(view, told + 1), 0.0, False, False, {}
        outcome = seat.game.outcome
        assert outcome is not None
        if outcome.verdict == "error":
            await self.close_session(session_id)
            raise RuntimeError(f"the game failed: {outcome.failure}")
        info = {"reason": outcome.reason, **outcome.metrics}
        return None, outcome.rewards[SOLVER], True, False, info

    async def close_session(self, session_id: str | None) -> None:
        """End what is going on in a session."""
        seat = self.session_state.pop(str(session_id), None)
        if seat is not None:
            await seat.__aexit__()


def solver_rows(scenario: Scenario, agent: str) -> Iterator[dict[str, Any]]:
    """Write the known questions of a scenario as rows of NeMo-Gym's data.

    Args:
        scenario: The scenario of the server.
        agent: Name of the agent in NeMo-Gym's configuration.

    Raises:
        ValueError: If the scenario has no questions.
    """
    if not scenario.questions:
        raise ValueError("the scenario has no questions: open it with questions=")
    for task in scenario.questions:
        opening = Game(task, scenario.rules).requests()[0].view  # type: ignore[union-attr]
        system = [said for said in opening.to_openai() if said["role"] == "system"]
        yield {
            "responses_create_params": {"input": system},
            "agent_ref": {"type": "responses_api_agents", "name": agent},
            **{name: getattr(task, name) for name in ("id", "question", "answer", "hops")},
            "aliases": list(task.aliases),
        }


def _scenario(settings: dict[str, Any]) -> Scenario:
    scenario = configured_scenario(settings, "scenario of the server")
    check_one_attempt(scenario, "NeMo-Gym")
    return scenario


def _said(view: View | None, start: int) -> str:
    """What the environment has said since a message, without the system prompt."""
    assert view is not None
    return "\n".join(said.content for said in view.messages[start:] if said.role != "system")

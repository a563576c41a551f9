"""The solver as an environment of SkyRL-Gym, and the search tool as a group of its tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ssp_env.envs.single_agent import SolverEnv
from ssp_env.game import Task
from ssp_env.integrations.configured import check_one_attempt, configured_scenario
from ssp_env.integrations.libraries import check_version
from ssp_env.objects import missing_extra
from ssp_env.scenario import Scenario
from ssp_env.search.tool import SearchTool

try:
    import skyrl_gym
    from omegaconf import OmegaConf
    from skyrl_gym.envs.base_text_env import BaseTextEnv, BaseTextEnvStepOutput
    from skyrl_gym.tools.core import ToolGroup, tool
except ImportError as error:
    raise missing_extra("skyrl-gym", "skyrl") from error

check_version("skyrl-gym", at_least="0.4", below="0.5", tested="0.4.0")

SOLVER_ID = "ssp_solver"
"""The usual `env_class` of data rows that this environment plays."""
_COUNTED = ("turns", "searches")


def register(scenario: Scenario | Mapping[str, Any], id: str = SOLVER_ID) -> None:
    """Register the solver's environment under `id`, in the process in which SkyRL makes environments.

    Args:
        scenario: What is searched and by which rules, or the plain data of a scenario; questions come from
            the data rows.
        id: What rows call it in `env_class`.

    Raises:
        ValueError: If the scenario cannot be opened, or its rules give a question more than one attempt.
        skyrl_gym.error.RegistrationError: If the name is taken.
    """
    check_one_attempt(configured_scenario(scenario, "the scenario"), "SkyRL")
    skyrl_gym.register(
        id=id, entry_point="ssp_env.integrations.skyrl:SolverTextEnv", kwargs={"scenario": scenario}
    )


class SolverTextEnv(BaseTextEnv):
    """One attempt at the question of a data row.

    The question is the row's `question`, or the last message of its prompt; the model reads our prompt for
    it. The right answers are `reward_spec["ground_truth"]`: a text, a list of them, or a mapping with
    `target`, as data of Search-R1 have it. The reward comes with the last step. The rules limit turns and
    searches; SkyRL's `max_turns` is not read here.

    Args:
        env_config: Plain data of a scenario, where none was registered.
        extras: The other columns of the row.
        scenario: What was registered.

    Raises:
        ValueError: If no scenario is given, it cannot be opened, or the row has no right answer.
    """

    def __init__(
        self, env_config: Any = None, extras: Mapping[str, Any] | None = None, scenario: Any = None
    ) -> None:
        super().__init__()
        self._scenario = configured_scenario(scenario or _plain(env_config), "env_config, or register(),")
        self._row = dict(extras or {})
        self._golds = _golds(self._row)
        self._info: dict[str, Any] = {}

    def init(self, prompt: Sequence[Mapping[str, str]]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Ask the question and return our prompt in place of the row's.

        Raises:
            ValueError: If the row has no question, or the rules give it several attempts.
        """
        question = str(self._row.get("question") or (prompt[-1]["content"] if prompt else ""))
        task = Task(
            self._golds[0], tuple(self._golds[1:]), question=question, id=str(self._row.get("id", ""))
        )
        self._env = SolverEnv(scenario=self._scenario, questions=[task])
        self._env.reset(seed=0)
        self._told = len(self._env.view.messages)
        return self._env.view.to_openai("user"), {}

    def step(self, action: str) -> BaseTextEnvStepOutput:
        """Let the model write, and return what the environment says to it.

        Raises:
            RuntimeError: If the search or the judge broke down: nobody knows what the answer is worth.
        """
        self.turns += 1
        _, reward, terminated, truncated, info = self._env.step(action)
        self._info = info
        if truncated:
            raise RuntimeError(f"the game failed: {info['failure']}")
        told = [] if terminated else self._env.view.to_openai("user")
        # The model's own message, the first after those it was told, is SkyRL's already.
        observations, self._told = told[self._told + 1 :], len(told)
        return BaseTextEnvStepOutput(observations=observations, reward=reward, done=terminated, metadata={})

    def get_metrics(self) -> dict[str, Any]:
        """Return the numbers of turns and searches, and 1 as `solved` if the answer was right, else 0."""
        counted = {name: float(self._info.get(name, 0)) for name in _COUNTED}
        return counted | {"solved": float(self._info.get("reason") == "solved")}


class SearchTools(ToolGroup):
    """The search tool for environments of your own: a group with the one tool `search`.

    Args:
        search_tool: The tool; its budget, cache and layout hold.

    >>> tools = SearchTools(SearchTool(lambda query: [f"all about {query}"], layout="plain"))
    >>> tools.execute_tool("search", "krill")
    'all about krill'
    """

    def __init__(self, search_tool: SearchTool) -> None:
        self._tool = search_tool
        super().__init__(name="SearchToolGroup")

    @tool  # type: ignore[untyped-decorator]
    def search(self, query: str) -> str:
        """Return passages, or a text that says why there are none."""
        return self._tool(query)


def _plain(env_config: Any) -> Mapping[str, Any]:
    """Read the settings of SkyRL's configuration: a mapping, OmegaConf's or none."""
    settings: Mapping[str, Any] = OmegaConf.to_container(OmegaConf.create(env_config or {}), resolve=True)
    return settings


def _golds(row: Mapping[str, Any]) -> list[str]:
    given = (row.get("reward_spec") or {}).get("ground_truth")
    given = given.get("target") if isinstance(given, Mapping) else given
    golds = [given] if isinstance(given, str) else list(given if given is not None else ())
    if not golds or not all(isinstance(gold, str) and gold.strip() for gold in golds):
        raise ValueError(
            "expected a row whose reward_spec has the ground_truth: a text, a list of texts, or a mapping "
            f"with target, got {given!r:.100}"
        )
    return golds

"""NeMo-Gym's own agent plays the solver against our resources server and a model server, over HTTP."""

import asyncio
import importlib
import json
import re
from types import SimpleNamespace

import pytest

pytest.importorskip("nemo_gym", reason="needs nemo-gym and Python 3.12: make adapters")

import nemo_gym.server_utils
from fastapi import FastAPI, Request
from nemo_gym.config_types import BaseServerConfig, ModelServerRef, ResourcesServerRef
from nemo_gym.server_utils import ServerClient
from omegaconf import OmegaConf
from responses_api_agents.gymnasium_agent.app import (
    GymnasiumAgent,
    GymnasiumAgentConfig,
    GymnasiumAgentRunRequest,
)

from ssp_env.envs.lookup_solver import LookupSolver
from ssp_env.envs.single_agent import SolverEnv
from ssp_env.game import Message, View
from ssp_env.integrations import libraries
from ssp_env.integrations import nemo_gym as ours
from ssp_env.integrations.nemo_gym import SolverServer, SolverServerConfig, solver_rows
from ssp_env.scenario import open_scenario
from tests.game.doubles import PAGES, QUESTION, answer, search
from tests.serve.running import running

TINY = {"world": "tiny"}
# Its client leaves sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


def model_server(say, asked):
    """The Responses API over a function from messages to a text."""
    app = FastAPI()

    @app.post("/v1/responses")
    async def respond(request: Request):
        messages = [message(item) for item in (await request.json())["input"]]
        asked.append(messages)
        content = [{"annotations": [], "text": say(messages), "type": "output_text"}]
        said = {"id": "m", "content": content, "role": "assistant", "status": "completed", "type": "message"}
        return {
            "id": "r", "created_at": 0.0, "model": "m", "object": "response", "output": [said],
            "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
        }  # fmt: skip

    return app


def message(item):
    content = item["content"]
    return {
        "role": item["role"],
        "content": content if isinstance(content, str) else "".join(part["text"] for part in content),
    }


@pytest.fixture(autouse=True)
def _no_client(monkeypatch):
    """Each loop needs a client of its own."""
    monkeypatch.setattr(nemo_gym.server_utils, "_GLOBAL_AIOHTTP_CLIENT", None)


def client(**addresses):
    """Their client, told where servers are."""
    head = BaseServerConfig(host="127.0.0.1", port=0)
    return ServerClient(head_server_config=head, global_config_dict=OmegaConf.create(addresses))


def server(settings):
    config = SolverServerConfig(host="127.0.0.1", port=0, entrypoint="app.py", name="ssp", scenario=settings)
    return SolverServer(config=config, server_client=client())


def rollouts(settings, rows, say, max_steps=12):
    """What NeMo-Gym's agent makes of rows, side by side, and the conversations that the model was sent."""
    asked = []
    with (
        running(server(settings).setup_webserver()) as ssp,
        running(model_server(say, asked)) as model,
    ):
        places = {
            "ssp": {"resources_servers": {"ssp_solver": place(ssp)}},
            "policy_model": {"responses_api_models": {"any": place(model)}},
        }
        config = GymnasiumAgentConfig(
            host="", port=0, entrypoint="", name="ssp_agent", max_steps=max_steps,
            resources_server=ResourcesServerRef(type="resources_servers", name="ssp"),
            model_server=ModelServerRef(type="responses_api_models", name="policy_model"),
        )  # fmt: skip
        agent = GymnasiumAgent(config=config, server_client=client(**places))

        async def play():
            session = nemo_gym.server_utils
            session.set_global_aiohttp_client(session.GlobalAIOHTTPAsyncClientConfig())
            requests = [GymnasiumAgentRunRequest.model_validate(row) for row in rows]
            playing = [agent.run(SimpleNamespace(cookies={}), request) for request in requests]
            try:
                return await asyncio.gather(*playing, return_exceptions=True)
            finally:
                await session.get_global_aiohttp_client().close()

        return asyncio.run(play()), asked


def place(address):
    host, port = address.removeprefix("http://").split(":")
    return {"host": host, "port": int(port)}


def follow(messages):
    said = tuple(Message(one["role"], one["content"]) for one in messages)
    searched = sum(one.role == "assistant" for one in said)
    return LookupSolver().act(View("g", "solver_0", "solve", said, 6 - searched, 4 - searched))


def corpus(folder):
    """A scenario over the shelf, in plain data, with one known question."""
    pages, questions = folder / "corpus.jsonl", folder / "questions.jsonl"
    rows = [{"id": page.id, "title": page.title, "text": page.text} for page in PAGES]
    pages.write_text("\n".join(map(json.dumps, rows)))
    questions.write_text(json.dumps({"id": "1", "question": QUESTION, "answers": ["Tavor"]}))
    return {"corpus": str(pages), "questions": str(questions)}


def test_their_agent_plays_rows_side_by_side_as_our_environment_does():
    scenario = open_scenario("tiny")
    rows = list(solver_rows(scenario, "ssp_agent"))[::15]
    played, asked = rollouts(TINY, rows, follow)
    rewards, told = [], []
    local = SolverEnv(scenario=scenario)
    for task in scenario.questions[::15]:
        local.reset(seed=0, options={"task": task})
        terminated = False
        while not terminated:
            told.append(local.view.to_openai("user"))
            _, reward, terminated, *_ = local.step(follow(told[-1]))
        rewards.append(reward)
    assert [one.reward for one in played] == rewards and set(rewards) == {0.0, 1.0}
    assert sorted(map(str, asked)) == sorted(map(str, told))
    assert all(one.terminated and not one.truncated for one in played)
    assert [one.info["reason"] for one in played] == ["solved" if one else "unsolved" for one in rewards]


def test_rows_over_a_corpus_carry_the_system_prompt(tmp_path):
    settings = corpus(tmp_path)
    [row] = solver_rows(open_scenario(**settings), "ssp_agent")
    assert [said["role"] for said in row["responses_create_params"]["input"]] == ["system"]
    [played], [first] = rollouts(settings, [row], lambda messages: answer())
    assert played.reward == 1.0
    local = SolverEnv(scenario=open_scenario(**settings))
    local.reset(seed=0)
    assert first == local.view.to_openai("user")


def test_their_limit_of_steps_cuts_an_attempt_off():
    [row] = list(solver_rows(open_scenario("tiny"), "ssp_agent"))[:1]
    [played], asked = rollouts(TINY, [row], lambda messages: "<search> corun </search>", max_steps=2)
    assert played.truncated and played.reward == 0.0 and len(asked) == 2


def test_a_search_that_breaks_down_fails_the_rollout(tmp_path, monkeypatch):
    (tmp_path / "broken_engine.py").write_text("def find(query):\n    raise ConnectionError('gone')\n")
    monkeypatch.chdir(tmp_path)
    [row] = solver_rows(open_scenario(**corpus(tmp_path)), "ssp_agent")
    settings = {"search": "broken_engine:find"}
    [failed], _ = rollouts(settings, [row], lambda messages: search("belin"))
    assert isinstance(failed, Exception) and "500" in str(failed)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "expected scenario of the server to name what is searched"),
        ({"world": "tiny", "rules": {"attempts": 3}}, "rules.attempts must be 1, got 3"),
        ({"world": "tiny", "rules": {"atempts": 3}}, "did you mean 'attempts'"),
    ],
)
def test_a_configuration_that_cannot_be_played_is_refused_at_the_start(settings, said):
    with pytest.raises(ValueError, match=said):
        server(settings)


@pytest.mark.parametrize("row", [{}, {"question": "mayor of corun ?"}, {"answer": "sarn", "question": ""}])
def test_a_row_without_question_or_answer_is_refused(row):
    with pytest.raises(ValueError, match="expected a row with question and answer"):
        asyncio.run(server(TINY).reset(row, "session"))


def test_a_step_without_a_game_is_refused():
    with pytest.raises(ValueError, match="reset it first"):
        asyncio.run(server(TINY).step(SimpleNamespace(output=[]), {}, "session"))


def test_a_scenario_without_questions_has_no_rows():
    with pytest.raises(ValueError, match="has no questions"):
        list(solver_rows(open_scenario(search=lambda query: [], answers=["Tavor"]), "ssp_agent"))


def test_another_version_is_named_with_the_tested_one(monkeypatch):
    monkeypatch.setattr(libraries, "version", lambda name: "0.7.0")
    said = re.escape("expected nemo-gym>=0.4,<0.5 (tested: 0.4.0), got nemo-gym 0.7.0")
    with pytest.raises(libraries.UnsupportedVersionError, match=said):
        importlib.reload(ours)

"""The game in verifiers v1: its own runner plays it against a streaming endpoint, and what is refused."""

import asyncio
import importlib
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

pytest.importorskip("verifiers", reason="needs verifiers: make adapters")

import tomllib
import verifiers.v1 as vf

import ssp_env_verifiers
from ssp_env.game import Game, Task
from ssp_env.integrations import libraries, verifiers
from ssp_env.integrations.verifiers import SearchSelfPlayConfig, SearchSelfPlayEnv, SearchSelfPlayEnvConfig
from ssp_env.play import play
from ssp_env.scenario import open_scenario
from tests.agents.chat_server import chat_server
from tests.game.doubles import PAGES, PROPOSAL, QUESTION, Script, answer, search
from tests.markdown import ROOT, blocks
from tests.search.remote_server import Reply

BIN = Path(sys.executable).parent
SEARCHED = {"id": "ssp-env-verifiers", "world": "tiny"}


def streamed(text):
    """A reply as endpoints stream it; verifiers asks for nothing else."""
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "any"}
    said = {"role": "assistant", "content": text}
    chunks = [
        {**chunk, "choices": [{"index": 0, "delta": said, "finish_reason": None}]},
        {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    ]
    events = "".join(f"data: {json.dumps(one)}\n\n" for one in chunks)
    return Reply(f"{events}data: [DONE]\n\n".encode(), headers={"content-type": "text/event-stream"})


class Player:
    """Proposes well, reads well, and answers wrongly at the last of three attempts."""

    def __init__(self):
        self.asked, self._lock, self._answers = [], threading.Lock(), 0

    def __call__(self, request):
        assert request["stream"]
        messages = [{"role": said["role"], "content": text(said["content"])} for said in request["messages"]]
        with self._lock:
            self.asked.append(messages)
            if "<question>" in messages[0]["content"]:
                return streamed(PROPOSAL[sum(said["role"] == "assistant" for said in messages)])
            self._answers += 1
            return streamed(answer("Nobody" if self._answers == 4 else "Tavor"))


class Wrong(Script):
    """Answers wrongly in one seat."""

    def __init__(self, seat):
        super().__init__()
        self._seat = seat

    def act(self, view):
        self.views.append(view)
        return answer("Nobody" if view.seat == self._seat else "Tavor")


def text(content):
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def corpus(folder):
    file = folder / "corpus.jsonl"
    rows = [{"id": page.id, "title": page.title, "text": page.text} for page in PAGES]
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def evaluate(folder, address, toml):
    """Run `vf-eval` as users do, and return the one episode that it wrote."""
    (folder / "eval.toml").write_text(toml)
    options = ["--client.base-url", address, "--client.api-key-var", "KEY", "--no-rich", "--run.dir", "run"]
    done = subprocess.run(
        [BIN / "vf-eval", "@", "eval.toml", *options],
        cwd=folder, env={**os.environ, "KEY": "k"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [line] = (folder / "outputs" / "run" / "traces.jsonl").read_text().splitlines()
    return json.loads(line)


def test_the_runner_plays_a_game_and_pays_each_seat_as_our_rules_do(tmp_path):
    player = Player()
    [example] = [
        block for block in blocks(ROOT / "docs" / "frameworks.md", "toml") if "ssp-env-verifiers" in block
    ]
    settings = example.replace("corpus.jsonl.gz", str(corpus(tmp_path))).replace(
        '"answers.jsonl"', '["Tavor"]'
    )
    assert tomllib.loads(settings)["env"]["n"] == 3
    with chat_server(player) as (address, _):
        episode = evaluate(tmp_path, address, settings)

    rules = {"attempts": 3}
    scenario = open_scenario(corpus=tmp_path / "corpus.jsonl", answers=["Tavor"], hops=(2,), rules=rules)
    game, told = Game(scenario.tasks[0], scenario.rules, rng=0), []
    proposer, reader, solver = Script(*PROPOSAL), Script(answer()), Wrong("solver_2")
    play([game], proposer=proposer, reader=reader, solver=solver, search=scenario.search)
    told = [view.to_openai("user") for one in (proposer, reader, solver) for view in one.views]
    assert sorted(map(str, player.asked)) == sorted(map(str, told))

    by_role = {}
    for trace in episode["traces"]:
        by_role.setdefault(trace["agent"]["name"], []).append(trace)
    assert episode["ok"] and {role: len(traces) for role, traces in by_role.items()} == {
        "proposer": 1, "reader": 1, "solver": 3,
    }  # fmt: skip
    paid = sorted(trace["rewards"]["game"]["score"] for trace in by_role["solver"])
    assert paid == sorted(game.outcome.rewards[f"solver_{k}"] for k in range(3)) == [0.0, 1.0, 1.0]
    [proposer], [reader] = by_role["proposer"], by_role["reader"]
    assert proposer["rewards"]["game"]["score"] == pytest.approx(game.outcome.rewards["proposer_0"])
    assert proposer["metrics"]["success_rate"] == pytest.approx(2 / 3) and proposer["metrics"]["valid"] == 1
    assert reader["rewards"] == {} and not reader["agent"]["trainable"]
    assert proposer["agent"]["trainable"] and all(trace["agent"]["trainable"] for trace in by_role["solver"])


def episode_of(respond, searched, **seats):
    """Play the first task of a configuration in this process, with a real endpoint and the real harness."""
    config = SearchSelfPlayEnvConfig(taskset=searched, n=1, **seats)
    env = SearchSelfPlayEnv(config)
    task = next(iter(env.taskset))

    async def play(address):
        client = vf.EvalClientConfig(base_url=address, api_key_var="KEY")
        async with env.serving():
            return await env.run_episode(
                task, vf.ModelContext(model="any", client=client, sampling=vf.SamplingConfig())
            )

    with chat_server(respond) as (address, _), pytest.MonkeyPatch.context() as patch:
        patch.setenv("KEY", "k")
        patch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
        return asyncio.run(play(address))


def known(folder, **options):
    file = folder / "questions.jsonl"
    file.write_text(json.dumps({"id": "1", "question": QUESTION, "answers": ["Tavor"]}))
    return {"id": "ssp-env-verifiers", "questions": str(file), "ask": "questions", **options}


def test_known_questions_are_answered_without_a_proposer(tmp_path):
    episode = episode_of(lambda _: streamed(answer()), known(tmp_path, corpus=str(corpus(tmp_path))))
    [trace] = episode.traces
    assert episode.ok and (trace.agent.name, trace.reward) == ("solver", 1.0)


def test_a_seat_whose_run_reaches_a_limit_forfeits(tmp_path):
    searched = known(tmp_path, corpus=str(corpus(tmp_path)))
    episode = episode_of(lambda _: streamed(search("belin")), searched, solver={"max_turns": 1})
    [trace] = episode.traces
    assert episode.ok and trace.reward == 0.0 and trace.num_turns == 1
    assert trace.stop_condition == "max_turns"


def broken_search(query):
    raise ConnectionError("the index is gone")


def test_a_search_that_breaks_down_fails_the_episode_and_pays_nobody(tmp_path):
    searched = known(tmp_path, search=f"{__name__}:broken_search")
    sys.modules.setdefault(__name__, sys.modules[broken_search.__module__])
    episode = episode_of(lambda _: streamed(search("belin")), searched)
    assert not episode.ok and [trace.rewards for trace in episode.traces] == [{}]
    assert "search for solver_0: ConnectionError: the index is gone" in episode.errors[0].message


def test_a_model_that_breaks_down_fails_the_episode_and_pays_nobody(tmp_path):
    searched = known(tmp_path, corpus=str(corpus(tmp_path)))
    episode = episode_of(lambda _: Reply({"error": {"message": "no such model"}}, status=404), searched)
    assert not episode.ok and [trace.rewards for trace in episode.traces] == [{}]
    assert "the game failed: solver_0" in episode.errors[-1].message


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (
            lambda: verifiers.scenario_of(SearchSelfPlayConfig(id="x")),
            "expected env.taskset to name what is searched",
        ),
        (lambda: verifiers.scenario_of(SearchSelfPlayConfig(world="tinny")), "tiny"),
        (lambda: SearchSelfPlayConfig(wolrd="tiny"), "wolrd"),
        (lambda: SearchSelfPlayConfig(world="tiny", ask="everything"), "ask"),
        (
            lambda: SearchSelfPlayEnv(
                SearchSelfPlayEnvConfig(taskset={**SEARCHED, "rules": {"judge": True}})
            ),
            "name one as module:object",
        ),
        (
            lambda: SearchSelfPlayEnv(SearchSelfPlayEnvConfig(taskset={**SEARCHED, "rules": {"atempts": 1}})),
            "did you mean 'attempts'",
        ),
    ],
)
def test_what_cannot_be_played_is_refused_before_the_first_game(build, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        build()


def test_a_corpus_without_questions_is_refused(tmp_path):
    searched = SearchSelfPlayConfig(corpus=str(corpus(tmp_path)), ask="questions")
    with pytest.raises(ValueError, match="has no questions"):
        list(ssp_env_verifiers.SearchSelfPlayTaskset(searched))


def test_the_tasks_are_those_of_the_scenario():
    loaded = [task.data for task in ssp_env_verifiers.SearchSelfPlayTaskset(SearchSelfPlayConfig(**SEARCHED))]
    made = [
        Task(one.answer, tuple(one.aliases), one.hops, one.question, one.id, one.corpus) for one in loaded
    ]
    assert made == list(open_scenario("tiny").tasks)


def test_another_version_is_named_with_the_tested_one(monkeypatch):
    monkeypatch.setattr(libraries, "version", lambda name: "0.3.2")
    said = re.escape("expected verifiers>=0.4,<0.5 (tested: 0.4.0), got verifiers 0.3.2")
    with pytest.raises(libraries.UnsupportedVersionError, match=said):
        importlib.reload(verifiers)

"""TRL plays one seat of our games by tool calls: what the game shows, counts and pays is what ours does."""

import json

import pytest

pytest.importorskip("trl", reason="needs trl: make parity, or pip install 'ssp-env[trl]'")

import torch
from transformers import AutoModelForCausalLM
from transformers.utils import get_json_schema
from trl import GRPOConfig, GRPOTrainer

from ssp_env import open_scenario
from ssp_env.game import PROTOCOLS, Game, Reply, Task, ToolCall
from ssp_env.integrations.trl import GameEnvironments
from ssp_env.play import play
from tests.game.doubles import QUESTION, Shelf
from tests.integrations import tool_caller
from tests.integrations.tool_caller import answer, call, shown

pytestmark = pytest.mark.filterwarnings("ignore")

KNOWN = Task("Tavor", question=QUESTION, id="known")
ASKED = Task("Tavor", hops=2, id="asked")
RULES = {"noise_passages": 2, "top_k": 1}


def scenario(**rules):
    return open_scenario(search=Shelf(), answers=[ASKED], questions=[KNOWN], rules={**RULES, **rules})


class Frozen:
    """Recovers the answer as the reader; as the solver is right in its first attempt of two."""

    def act(self, view):
        right = view.role == "reader" or view.seat == "solver_0"
        return f"<answer> {'Tavor' if right else 'Sarn'} </answer>"


def environments_of(role, **rules):
    others = {"solver": Frozen()} if role == "proposer" else {}
    return GameEnvironments(scenario(**rules), role, **others)


# -- an environment by hand ---------------------------------------------------------------------------------


class Caller:
    """The same turns by a player with native calls."""

    def __init__(self, queries, last):
        self.queries, self.last = queries, last

    def act(self, view):
        if view.role == "reader" or (view.role == "solver" and "question" in self.last):
            return Frozen().act(view)
        turn = sum(message.role == "assistant" for message in view.messages)
        if turn < len(self.queries):
            arguments = json.dumps({"query": self.queries[turn]})
            return Reply("", tool_calls=(ToolCall(f"call_{len(view.messages)}", "search", arguments),))
        return self.last


@pytest.mark.parametrize(
    ("role", "queries", "last"),
    [
        ("solver", ["belin", "corun"], "<answer> Tavor </answer>"),
        ("solver", [], "<answer> Sarn </answer>"),
        ("solver", ["belin"], "I do not know"),
        ("proposer", ["belin", "corun"], f"<question> {QUESTION} </question>"),
        ("proposer", ["belin"], f"<question> {QUESTION} </question>"),
        ("proposer", ["belin", "corun"], ""),
    ],
)
def test_a_rollout_is_the_game_that_our_driver_plays(role, queries, last):
    environments = environments_of(role, attempts=2)
    environment = environments.environment_factory()
    assert environment.reset(prompt="...", task=0) is None
    told = [environment.search(query) for query in queries]
    (paid,) = environments.game_reward([[answer(last)]], [environment], trainer_state=None)
    game = environment._game

    same = Game(game.task, game.config, game.snapshot()["seed"], game.id)
    player = Caller(queries, last or " ")
    play([same], proposer=player, solver=player, reader=Frozen(), search=Shelf())
    seat = "proposer_0" if role == "proposer" else "solver_0"
    shown_to_us = [event for event in same.events if type(event).__name__ == "SearchReturned"]
    assert [event.query for event in shown_to_us if event.seat == seat] == queries
    assert all(event.passages[0].text in text for event, text in zip(shown_to_us, told, strict=False))
    if last == "I do not know" or not last:
        assert paid == 0.0 and game.outcome.reason in ("malformed", "turn_limit", "unsolved")
    else:
        assert (paid, game.outcome.reason) == (same.outcome.rewards[seat], same.outcome.reason)


def test_the_tool_is_the_one_of_the_protocol_and_there_is_no_other():
    environment = environments_of("solver").environment_factory()
    schema = get_json_schema(environment.search)["function"]
    expected = PROTOCOLS["openai"].tools()[0]["function"]
    assert (schema["name"], schema["description"]) == (expected["name"], expected["description"])
    query = expected["parameters"]["properties"]["query"]
    assert schema["parameters"]["properties"]["query"]["description"] == query["description"]
    names = {name for name in dir(environment) if not name.startswith("_")}
    assert names == {"reset", "search"}


def test_budgets_and_failures_are_those_of_the_game():
    environments = environments_of("solver", max_searches=1)
    environment = environments.environment_factory()
    environment.reset(task=0)
    assert "Belin" in environment.search("belin")
    assert "Belin" not in environment.search("belin")
    for _ in range(20):
        said = environment.search("belin")
    assert said == "The game is over. Finish without searching."

    broken = open_scenario(search=lambda query: 1 / 0, questions=[KNOWN], answers=[ASKED], rules=RULES)
    environments = GameEnvironments(broken)
    environment = environments.environment_factory()
    environment.reset(task=0)
    assert environment.search("belin") == "The game is over."
    assert environments.game_reward([[answer("<answer> Tavor </answer>")]], [environment]) == [None]


def test_rollouts_of_one_row_are_games_of_their_own():
    environments = environments_of("solver")
    made = [environments.environment_factory() for _ in range(3)]
    for environment in made:
        environment.reset(task=0)
    assert len({environment._game.id for environment in made}) == 3


# -- what cannot be trained ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scenario": {"hops": [1]}}, "expected the scenario to name what is searched"),
        ({"role": "proposer"}, "nobody plays the solver"),
        ({"role": "reader"}, "role must be proposer or solver, got 'reader'"),
        ({"tasks": []}, "the solver is trained on questions"),
        ({"tasks": [ASKED]}, "the solver is trained on questions"),
        ({"role": "proposer", "solver": Frozen(), "tasks": [KNOWN]}, "the proposer is trained on answers"),
        ({"scenario": {"world": "tiny"}}, "terse prompts know no tools"),
    ],
)
def test_what_cannot_be_played_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        GameEnvironments(**({"scenario": scenario()} | arguments))


def test_a_row_of_another_data_set_and_another_version_are_refused(monkeypatch):
    environment = environments_of("solver").environment_factory()
    with pytest.raises(ValueError, match=r"row of GameEnvironments.train_dataset\(\): no column task"):
        environment.reset(prompt="Who?")
    monkeypatch.setattr("ssp_env.integrations.libraries.version", lambda library: "2.0.0")
    with pytest.raises(ImportError, match=r"tested: 1.16.0\), got trl 2.0.0"):
        environments_of("solver")


# -- training -----------------------------------------------------------------------------------------------


def conversations(role, environments):
    """Two ways to play, one of which is paid."""
    prompt = environments.train_dataset()[0]["prompt"]
    environment = environments.environment_factory()
    found = []
    lasts = {
        "solver": ("<answer> Tavor </answer>", "<answer> Sarn </answer>"),
        "proposer": (f"<question> {QUESTION} </question>", "<question> Who? </question>"),
    }[role]
    for last in lasts:
        environment.reset(task=0)
        told = [shown(environment.search(query)) for query in ("belin", "corun")]
        found.append([*prompt, call("belin"), told[0], call("corun"), told[1], answer(last)])
    return found, get_json_schema(environment.search)


@pytest.mark.parametrize("role", ["solver", "proposer"])
def test_grpo_trains_a_role_on_games_and_pays_what_they_pay(role, tmp_path):
    environments = environments_of(role, attempts=2)
    texts, schema = conversations(role, environments)
    tool_caller.build(tmp_path / "model", texts, schema)
    seen, pay = [], environments.game_reward

    def game_reward(completions, environments, **columns):
        paid = pay(completions, environments)
        seen.extend(zip(completions, [each._game for each in environments], paid, strict=True))
        return paid

    arguments = environments.arguments | {"reward_funcs": game_reward}
    trainer = GRPOTrainer(
        str(tmp_path / "model"),
        args=GRPOConfig(
            str(tmp_path), max_steps=2, num_generations=8, per_device_train_batch_size=8,
            max_completion_length=300, logging_steps=1, report_to="none", save_strategy="no",
            use_cpu=True, bf16=False, learning_rate=1e-4, seed=0, disable_tqdm=True,
        ),
        **arguments,
    )  # fmt: skip
    trainer.train()
    assert len(seen) == 16 and len({game.id for _, game, _ in seen}) == 16
    assert len({paid for _, _, paid in seen}) == 2
    counts = []
    for completion, game, paid in seen:
        seat = "proposer_0" if role == "proposer" else "solver_0"
        assert game.outcome is not None and paid == game.outcome.rewards[seat]
        told = [message["content"] for message in completion if message["role"] == "tool"]
        searched = [e for e in game.events if type(e).__name__ == "SearchReturned" and e.seat == seat]
        assert len(told) >= len(searched)
        counts.append(len(searched))
        assert all(event.passages[0].text in text for event, text in zip(searched, told, strict=False))
    assert max(counts) == 2 and sum(map(bool, counts)) >= 4
    before = AutoModelForCausalLM.from_pretrained(tmp_path / "model").state_dict()
    after = trainer.model.state_dict()
    assert any(not torch.equal(before[name], after[name].cpu()) for name in before)

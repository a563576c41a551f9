"""Exports: what was played, in the forms trainers load, read back with the libraries they use."""

import json
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings

from ssp_env.game import PROTOCOLS, Failure, Game, GameConfig, Reply, Task
from ssp_env.records import Episode, rescore, retold
from ssp_env.records.export import (
    chat_rows,
    game_rows,
    games_schema,
    recorded_trajectories,
    trajectories_schema,
    trajectory_rows,
    verl_rows,
    verl_schema,
    write_jsonl,
    write_parquet,
)
from tests.game.doubles import QUESTION, answer, new_game, propose, search
from tests.records.games import finished_games, refused_game, solved_game


def failed_game():
    game = new_game(noise_passages=0)
    propose(game)
    game.submit("read", Failure("down"))
    return game


EPISODES = [Episode.of(game) for game in (solved_game(attempts=2), refused_game(), failed_game())]


def table(rows, path, schema):
    parquet = pytest.importorskip("pyarrow.parquet")
    assert write_parquet(rows, path, schema()) == parquet.read_metadata(path).num_rows
    return parquet.read_table(path).to_pylist()


# -- trajectories --------------------------------------------------------------------------------------


@settings(max_examples=100)
@given(finished_games())
def test_every_conversation_of_any_game_is_a_trajectory(game):
    found = recorded_trajectories(retold(Episode.of(game)))
    turns = [(event.seat, event.reply) for event in game.events if type(event).__name__ == "TurnTaken"]
    played = [(t.seat, reply) for t in found for reply in t.replies if t.role != "reader"]
    assert sorted(map(repr, played)) == sorted(map(repr, turns))
    for trajectory in found:
        assert trajectory.messages[-1].role == "assistant"
        assert trajectory.reward == game.outcome.rewards.get(trajectory.seat)
        assert len(trajectory.input_ids) == len(trajectory.loss_mask)


def test_tokens_are_read_and_sampled_in_the_order_of_the_conversation():
    game = Game(Task("Tavor", question="Who?"))
    game.submit("solver_0/turn/0", Reply(search("belin"), (5, 6), (-0.5, -0.25), (1, 2)))
    game.submit("solver_0/search/0", [])
    game.submit("solver_0/turn/1", Reply("<answer> Tavor </answer>", (8,), (-1.0,), (7,)))
    (trajectory,) = recorded_trajectories(retold(Episode.of(game)))
    assert trajectory.input_ids == (1, 2, 5, 6, 7, 8)
    assert trajectory.loss_mask == (0, 0, 1, 1, 0, 1)
    assert trajectory.logprobs == (0.0, 0.0, -0.5, -0.25, 0.0, -1.0)


# -- chat ----------------------------------------------------------------------------------------------


def test_chat_rows_are_conversations_with_their_reward(tmp_path):
    path = tmp_path / "chat.jsonl"
    assert write_jsonl(chat_rows(EPISODES), path) == 4
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["seat"], row["role"], row["reward"]) for row in rows] == [
        ("proposer_0", "proposer", 0.0),
        ("solver_0", "solver", 1.0),
        ("solver_1", "solver", 1.0),
        ("proposer_0", "proposer", 0.0),
    ]
    solver = rows[1]["messages"]
    assert [message["role"] for message in solver] == ["system", "user", "assistant", "tool", "assistant"]
    assert QUESTION in solver[1]["content"] and "Belin has her home" in solver[3]["content"]
    assert solver[-1] == {"role": "assistant", "content": "<answer> Tavor </answer>"}
    assert rows[3]["reason"] == "too_few_words" and rows[1]["correct"] is True


def test_readers_and_roles_of_tools_are_a_choice():
    (reader,) = chat_rows(EPISODES[:1], roles=["reader"])
    assert (reader["seat"], reader["reward"], reader["correct"]) == ("reader", None, True)
    rows = list(chat_rows(EPISODES, tool_role="user"))
    assert {message["role"] for row in rows for message in row["messages"]} == {"system", "user", "assistant"}


def test_what_follows_an_action_is_not_in_the_conversation():
    game = Game(Task("Tavor", question="Who?"))
    game.submit("solver_0/turn/0", "<answer> Tavor </answer> and so on")
    (row,) = chat_rows([Episode.of(game)])
    assert row["messages"][-1]["content"] == "<answer> Tavor </answer>"


def test_a_game_whose_rescoring_is_unknown_gives_no_conversation():
    episode = EPISODES[1]
    assert list(chat_rows([rescore(episode, replace(episode.config, min_question_words=0))])) == []
    (row,) = chat_rows([rescore(EPISODES[0], replace(EPISODES[0].config, min_question_words=40))])
    assert (row["role"], row["reason"]) == ("proposer", "too_few_words")


# -- parquet -------------------------------------------------------------------------------------------


def test_games_come_back_as_one_row_each(tmp_path):
    rows = table(game_rows(EPISODES), tmp_path / "games.parquet", games_schema)
    assert [row["reason"] for row in rows] == ["solved", "too_few_words", "error"]
    assert rows[0]["rewards"][1] == {"seat": "solver_0", "reward": 1.0}
    assert (rows[0]["success_rate"], rows[1]["success_rate"], rows[0]["turns"]) == (1.0, None, 8.0)
    assert json.loads(rows[0]["config"]) == EPISODES[0].snapshot["config"]
    assert rows[0]["aliases"] == ["Tavor of Ruvia"]


def test_trajectories_come_back_with_messages_and_tokens(tmp_path):
    game = Game(Task("Tavor", question="Who?"))
    game.submit("solver_0/turn/0", Reply("<answer> Tavor \ud800 </answer>", (5,), (-0.5,), (1,)))
    rows = table(trajectory_rows([*EPISODES, Episode.of(game)]), tmp_path / "t.parquet", trajectories_schema)
    assert len(rows) == 5 and rows[0]["input_ids"] == []
    assert rows[-1]["messages"][-1] == {
        "role": "assistant",
        "content": "<answer> Tavor \ufffd </answer>",
        "tool_calls": "",
        "tool_call_id": "",
    }
    assert (rows[-1]["input_ids"], rows[-1]["loss_mask"], rows[-1]["logprobs"]) == ([1, 5], [0, 1], [0, -0.5])


def test_many_games_are_written_in_batches(tmp_path):
    assert len(table(game_rows(EPISODES * 400), tmp_path / "games.parquet", games_schema)) == 1200


def test_valid_questions_have_the_columns_of_verl(tmp_path):
    (row,) = table(verl_rows(EPISODES, "wiki"), tmp_path / "v.parquet", verl_schema)
    truth = {"target": ["Tavor", "Tavor of Ruvia"]}
    assert list(row) == ["data_source", "prompt", "ability", "reward_model", "extra_info"]
    assert [message["role"] for message in row["prompt"]] == ["system", "user"]
    assert {key for message in row["prompt"] for key in message} == {"role", "content"}
    assert QUESTION in row["prompt"][1]["content"]
    assert row["reward_model"] == {"ground_truth": truth, "style": "rule"}
    assert row["extra_info"]["question"] == QUESTION and row["extra_info"]["index"] == 0
    assert row["extra_info"]["tools_kwargs"]["search"]["create_kwargs"] == {
        "data_source": "wiki",
        "ground_truth": truth,
        "question": QUESTION,
    }


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    def rows():
        yield {"a": 1}
        raise ValueError("a record that does not replay")

    with pytest.raises(ValueError, match="does not replay"):
        write_jsonl(rows(), tmp_path / "rows.jsonl")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "rows.jsonl").write_text("mine")
    with pytest.raises(ValueError, match="exists already"):
        write_jsonl([], tmp_path / "rows.jsonl")
    assert (tmp_path / "rows.jsonl").read_text() == "mine"


def test_without_pyarrow_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'ssp-env\[parquet\]'"):
        games_schema()


def test_the_datasets_library_loads_them(tmp_path):
    datasets = pytest.importorskip("datasets")
    write_jsonl(chat_rows(EPISODES), tmp_path / "chat.jsonl")
    cache = {"cache_dir": str(tmp_path / "cache"), "split": "train"}
    loaded = datasets.load_dataset("json", data_files=str(tmp_path / "chat.jsonl"), **cache)
    assert loaded[1]["messages"][-1]["content"] == "<answer> Tavor </answer>"


def test_native_tool_calls_come_in_the_shape_of_openai():
    write_search = PROTOCOLS["openai"].write("search", "belin", call_id="c1")
    game = Game(Task("Tavor", question="Who?"), GameConfig(protocol="openai"))
    game.submit("solver_0/turn/0", write_search)
    game.submit("solver_0/search/0", [])
    game.submit("solver_0/turn/1", answer())
    (row,) = chat_rows([Episode.of(game)])
    said, found = row["messages"][-3:-1]
    assert said["tool_calls"] == [call.to_openai() for call in write_search.tool_calls]
    assert found["tool_call_id"] == "c1"
    (as_user,) = chat_rows([Episode.of(game)], tool_role="user")
    assert as_user["messages"][-2] == found
    (flat,) = trajectory_rows([Episode.of(game)])
    assert json.loads(flat["messages"][-3]["tool_calls"]) == said["tool_calls"]
    assert flat["messages"][-2]["tool_call_id"] == "c1"


def test_every_reading_is_a_trajectory_of_its_own():
    game = new_game(noise_passages=0, closed_book=True, uniqueness=True)
    propose(game)
    for line in (answer(), answer("unknown"), answer()):
        game.submit(game.requests()[0].id, line)
    game.submit("solver_0/turn/0", answer())
    rows = list(chat_rows([Episode.of(game)], roles=("reader",)))
    assert [row["seat"] for row in rows] == ["reader", "reader/closed_book", "reader/uniqueness"]
    assert [row["messages"][-1]["content"] for row in rows] == [answer(), answer("unknown"), answer()]
    assert [row["correct"] for row in rows] == [True, False, True]

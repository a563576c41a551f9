"""Games in the formats of other tools, opened by those tools where they are installed."""

import json
from datetime import datetime, timezone

import pytest
from hypothesis import given, settings

from ssp_env.game.view import ROLES
from ssp_env.records import Episode, read_episodes
from ssp_env.records.exchange import PLAYERS, atif_documents, inspect_samples, write_atif, write_inspect
from ssp_env.records.export import chat_rows
from tests.records.games import finished_games, refused_game, solved_game
from tests.viewer.recorded import broken_game, game_with_tokens, write_games

CREATED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
GAMES = (solved_game(attempts=2), refused_game(), broken_game(), game_with_tokens())
EPISODES = [Episode.of(game) for game in GAMES]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return list(read_episodes(write_games(tmp_path_factory.mktemp("games") / "games.jsonl")))


def test_a_game_is_one_document_with_readers_and_solvers_inside():
    first, second, third = atif_documents(EPISODES)
    assert first["schema_version"] == "ATIF-v1.7" and first["session_id"] == "task-0"
    assert [one["trajectory_id"] for one in first["subagent_trajectories"]] == [
        "reader",
        "solver_0",
        "solver_1",
    ]
    assert [step["step_id"] for step in first["steps"]] == list(range(1, len(first["steps"]) + 1))
    ending = first["steps"][-1]
    assert ending["message"] == "valid: solved" and ending["extra"]["rewards"]["solver_1"] == 1.0
    named = [result["subagent_trajectory_ref"][0] for result in ending["observation"]["results"]]
    assert named == [{"trajectory_id": name} for name in ("reader", "solver_0", "solver_1")]
    searched = [step for step in first["steps"] if "<search> belin" in step["message"]][-1]
    assert searched["source"] == "agent" and "Corun" in searched["observation"]["results"][0]["content"]
    assert "subagent_trajectories" not in second and second["extra"]["reason"] == "too_few_words"
    assert third["trajectory_id"] == "4/task-0", "the game that failed is left out"


def test_tokens_are_counted_turn_by_turn():
    *_, document = atif_documents(EPISODES)
    metrics = [step["metrics"] for step in document["steps"] if "metrics" in step]
    lengths = [reply_length(text) for text in ("belin", "corun", "sarn")]
    assert [one["completion_tokens"] for one in metrics][:3] == lengths
    assert [one["prompt_tokens"] for one in metrics][:3] == [3, 6 + lengths[0], 9 + sum(lengths[:2])]
    assert metrics[0]["logprobs"][:2] == [0.0, -0.25]
    totals = document["final_metrics"]
    assert totals["total_completion_tokens"] == sum(one["completion_tokens"] for one in metrics)


def reply_length(query):
    return len(f"<think> hm </think> <search> {query} </search>".split())


@settings(max_examples=40)
@given(finished_games())
def test_any_game_has_both_forms(game):
    episodes = [Episode.of(game)]
    for document in atif_documents(episodes):
        json.dumps(document, allow_nan=False).encode("ascii")
        json.dumps(document, ensure_ascii=False).encode("utf-8")
    samples = list(inspect_samples(episodes, ROLES))
    assert len({(sample["id"], sample["epoch"]) for sample in samples}) == len(samples)
    json.dumps(samples, ensure_ascii=False, allow_nan=False).encode("utf-8")


def test_a_log_says_how_many_samples_and_what_they_are_worth(tmp_path):
    path = tmp_path / "log.json"
    assert write_inspect(EPISODES, path, created=CREATED) == 6
    log = json.loads(path.read_text())
    assert log["eval"]["created"] == "2026-01-02T03:04:05+00:00" and log["eval"]["model"] == PLAYERS
    assert log["results"]["total_samples"] == len(log["samples"]) == 6
    means = {score["name"]: score["metrics"]["mean"]["value"] for score in log["results"]["scores"]}
    assert means == {"correct": 1.0, "reward": pytest.approx(3 / 6)}
    assert [(sample["id"], sample["epoch"]) for sample in log["samples"]][:3] == [
        *(("1/task-0/proposer", 1), ("1/task-0/solver", 1), ("1/task-0/solver", 2)),
    ]
    assert log["samples"][1]["target"] == ["Tavor", "Tavor of Ruvia"]
    with pytest.raises(ValueError, match="exists already"):
        write_inspect(EPISODES, path, created=CREATED)


def test_a_folder_appears_when_it_is_complete(tmp_path):
    folder = tmp_path / "atif"
    assert write_atif(EPISODES, folder) == 3
    assert [path.name for path in sorted(folder.iterdir())] == [f"game-00000{n}.json" for n in (1, 2, 3)]

    def broken():
        yield EPISODES[0]
        raise ValueError("the disk is full")

    with pytest.raises(ValueError, match="the disk is full"):
        write_atif(broken(), tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["atif"]


# -- their own tools, which are too heavy for the development environment: make exports ----------------------
# Run by hand on 127 games of a training run, of scripted players and of every kind above: harbor 0.26.0 (its
# validator) and atif 1.8.0 take all documents, inspect_ai 0.3.285 reads all 636 samples and writes them as
# .eval, and 517 conversations are messages of the types of openai 3.57.


def test_atif_documents_are_valid(recorded):
    for name in ("atif", "harbor.models.trajectories"):
        try:
            model = pytest.importorskip(name).Trajectory
        except pytest.skip.Exception:
            continue
        documents = list(atif_documents(recorded))
        assert [model.model_validate(document).schema_version for document in documents] == ["ATIF-v1.7"] * 7
        return
    pytest.skip("needs atif or harbor: make exports")


def test_inspect_reads_the_log(recorded, tmp_path):
    log = pytest.importorskip("inspect_ai.log", reason="needs inspect_ai: make exports")
    count = write_inspect(recorded, tmp_path / "log.json", created=CREATED, roles=ROLES)
    found = log.read_eval_log(str(tmp_path / "log.json"))
    assert found.status == "success" and len(found.samples) == count == 18
    head = log.read_eval_log(str(tmp_path / "log.json"), header_only=True)
    assert {score.name for score in head.results.scores} == {"correct", "reward"}


def test_chats_are_messages_of_openai(recorded):
    types = pytest.importorskip("openai.types.chat", reason="needs openai: make exports")
    from pydantic import TypeAdapter

    messages = TypeAdapter(list[types.ChatCompletionMessageParam])
    rows = list(chat_rows(recorded, tool_role="user"))
    assert len(rows) == 13
    for row in rows:
        messages.validate_python(row["messages"])

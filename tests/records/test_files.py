"""Files of episodes: appended to, read one by one, and none of it lost to a kill."""

import gzip
import json
import os
import signal
import subprocess
import sys
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssp_env.data.lines import DataFileError
from ssp_env.game import Game, Reply, Task
from ssp_env.records import Episode, EpisodeWriter, TornLine, keep_episodes, numbered_episodes, read_episodes
from tests.game.doubles import new_game, propose, search
from tests.records.games import finished_games, refused_game, solved_game


@pytest.fixture
def path(tmp_path):
    return tmp_path / "games.jsonl"


def write(path, *games, **options):
    with EpisodeWriter(path, **options) as writer:
        for game in games:
            writer.write(game, "shelf", {"step": 3})


@settings(max_examples=60)
@given(finished_games())
def test_any_game_is_read_back_as_it_was_written(game):
    episode = Episode.of(game, "shelf", {"step": 3})
    line = episode.to_line()
    assert line.isascii() and "\n" not in line
    assert Episode.from_data(json.loads(line)) == episode
    assert Episode.from_data(json.loads(line)).to_line() == line


def test_a_file_holds_one_line_per_game_plain_or_gzipped(path):
    write(path, solved_game(), refused_game())
    expected = [Episode.of(game, "shelf", {"step": 3}) for game in (solved_game(), refused_game())]
    assert list(read_episodes(path)) == expected
    packed = path.with_suffix(".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert list(read_episodes(packed)) == expected


def test_an_unfinished_game_is_no_episode(path):
    with EpisodeWriter(path) as writer, pytest.raises(ValueError, match="in phase propose"):
        writer.write(new_game())
    assert path.read_text() == ""


def test_a_number_json_has_no_name_for_is_refused_and_the_file_stays_whole(path):
    game = Game(Task("Tavor", question="Who?", id="odd"))
    game.submit("solver_0/turn/0", Reply("<answer> Tavor </answer>", (1,), (float("-inf"),)))
    with EpisodeWriter(path) as writer:
        writer.write(solved_game())
        with pytest.raises(ValueError, match=r"'odd' cannot be recorded.*infinite or NaN"):
            writer.write(game)
        writer.write(refused_game())
    assert [episode.outcome["reason"] for episode in read_episodes(path)] == ["solved", "too_few_words"]


def test_a_new_file_never_replaces_another(path):
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        EpisodeWriter(path)
    assert path.read_text() == "mine"


# -- kills ---------------------------------------------------------------------------------------------


def test_what_was_written_survives_a_kill_of_the_process(path):
    code = (
        "import os, signal, sys\n"
        "from ssp_env.records import EpisodeWriter\n"
        "from tests.records.games import solved_game\n"
        "writer = EpisodeWriter(sys.argv[1])\n"
        "writer.write(solved_game())\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    run = subprocess.run([sys.executable, "-c", code, str(path)], env=environment, check=False)
    assert run.returncode == -signal.SIGKILL
    assert [episode.outcome["reason"] for episode in read_episodes(path)] == ["solved"]


@settings(max_examples=40)
@given(st.data())
def test_a_line_torn_anywhere_is_named_and_the_games_before_it_are_read(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("torn") / "games.jsonl"
    write(path, solved_game(), refused_game())
    lines = path.read_bytes().splitlines(keepends=True)
    cut = data.draw(st.integers(1, len(lines[1]) - 2))
    path.write_bytes(lines[0] + lines[1][:cut])
    episodes = read_episodes(path)
    assert next(episodes).outcome["reason"] == "solved"
    with pytest.raises(TornLine, match=r"games\.jsonl:2: .*torn"):
        next(episodes)
    torn = []
    assert [number for number, _ in numbered_episodes(path, on_torn=torn.append)] == [1]
    assert [error.line for error in torn] == [2]
    write(path, refused_game(), append=True)
    assert path.read_bytes() == b"".join(lines)


def test_a_whole_last_line_without_its_line_break_is_kept(path):
    write(path, solved_game())
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert len(list(read_episodes(path))) == 1
    write(path, refused_game(), append=True)
    assert len(list(read_episodes(path))) == 2


def test_a_torn_line_longer_than_a_block_is_cut_off_whole(path):
    write(path, solved_game())
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"schema": 2, "game_id": "' + b"x" * 200_000)
    write(path, refused_game(), append=True)
    assert path.read_bytes().startswith(whole + b'{"schema"')
    assert len(list(read_episodes(path))) == 2


# -- bad files -----------------------------------------------------------------------------------------


def damaged(change):
    data = json.loads(Episode.of(solved_game()).to_line())
    change(data)
    return json.dumps(data)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "expected one JSON object a line, got invalid JSON"),
        ("[1]", "expected one JSON object a line, got list"),
        ("[" * 100_000, "invalid JSON"),
        (damaged(lambda data: data.pop("schema")), "read by the version of ssp-env that wrote them"),
        (damaged(lambda data: data.update(schema=1)), "of schema 2, got schema int 1, written by ssp-env"),
        (damaged(lambda data: data.pop("events")), 'expected the key "events"'),
        (damaged(lambda data: data.update(events={})), 'expected a list as "events", got dict'),
        (damaged(lambda data: data.update(mood=1)), "['mood']"),
    ],
)
def test_a_bad_line_is_named_by_file_and_line(path, line, problem):
    write(path, solved_game())
    path.write_text(path.read_text() + line + "\n" + path.read_text())
    episodes = read_episodes(path)
    assert next(episodes).outcome["reason"] == "solved"
    with pytest.raises(DataFileError) as error:
        next(episodes)
    assert str(error.value).startswith(f"{path}:2: ") and problem in str(error.value)
    assert not isinstance(error.value, TornLine)


@pytest.mark.parametrize("packed", [False, True])
def test_a_bad_last_line_that_was_written_to_its_end_is_not_torn(path, packed):
    write(path, solved_game())
    damaged = path.read_bytes() + b'{"schema": 2' + b"\n" * (not packed)
    path.write_bytes(gzip.compress(damaged) if packed else damaged)
    with pytest.raises(DataFileError, match=r"games\.jsonl:2: .*invalid JSON") as error:
        list(read_episodes(path, on_torn=pytest.fail))
    assert not isinstance(error.value, TornLine)


def test_reading_holds_one_game_at_a_time(path):
    write(path, solved_game())
    line = path.read_text()
    path.write_text(line * 800)
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_episodes(path)) == 800
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < path.stat().st_size / 10


# -- keeping some --------------------------------------------------------------------------------------


def test_episodes_can_be_dropped_and_the_others_keep_their_bytes(path):
    write(path, solved_game(), refused_game())
    kept = path.read_text().splitlines(keepends=True)[1]
    path.write_text(path.read_text() + '{"torn')
    keep_episodes(path, lambda episode: episode.outcome["verdict"] == "invalid")
    assert path.read_text() == kept
    keep_episodes(path.with_name("none.jsonl"), lambda episode: True)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_what_a_model_wrote_is_kept_but_for_lone_surrogates(path):
    game = new_game()
    propose(game, search("\ud800 é\x00"), "no", "no")
    write(path, game)
    (episode,) = read_episodes(path)
    assert "\ufffd é\x00" in episode.events[0]["reply"]["text"]
    assert episode.events[0]["action"]["content"] == "\ufffd é"

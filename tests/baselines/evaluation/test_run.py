"""Evaluations as they are played: answers, failures, going on, and what is refused."""

import json
from dataclasses import replace

import pytest

from agents import player_names
from agents.player_names import MadePlayer
from baselines.evaluation.answers import read_answers
from baselines.evaluation.figures import figures_of
from baselines.evaluation.question_sets import world_set
from baselines.evaluation.run import NO_PASSAGES, Evaluation
from ssp_env.data import DataFileError
from ssp_env.records import first_difference, read_episodes
from tests.agents.chat_server import chat_server, completion
from tests.baselines.evaluation.sets import Reader, mayors


@pytest.fixture
def casting(monkeypatch):
    """Makes players of any name."""
    players = {}
    by_name = player_names.player_by_name
    monkeypatch.setattr(
        player_names,
        "player_by_name",
        lambda role, name, options: (
            MadePlayer(players[name], "english") if name in players else by_name(role, name, options)
        ),
    )
    return players


@pytest.fixture
def evaluation(tmp_path):
    return Evaluation(*mayors(tmp_path))


def accuracy(answers):
    return figures_of(answers).by_name["exact_match"].value


def test_answers_say_what_was_asked_found_and_answered(evaluation, casting):
    casting["reader"] = Reader(wrong=(3,))
    answers = evaluation.run("reader")
    assert [answer.question_id for answer in answers] == [f"q{n}" for n in range(8)]
    assert accuracy(answers) == 7 / 8
    first = answers[0]
    assert (first.answer, first.golds, first.ended, first.searches) == (
        "Person 0",
        ("Person 0", "P0"),
        "answered",
        1,
    )
    assert ("0", "Town 0") in first.found and first.supporting == ("Town 0",)
    assert first.fields == {"type": "even"}
    assert figures_of(answers).by_name["support_recall"].value == 1.0


def test_attempts_are_games_of_their_own(evaluation, casting):
    casting["reader"] = Reader()
    answers = replace(evaluation, attempts=3).run("reader")
    assert [answer.attempt for answer in answers[:3]] == [0, 1, 2] and len(answers) == 24
    assert len({view.game_id for view in casting["reader"].views}) == 24


def test_the_same_seed_gives_the_same_answers_and_another_one_others():
    sets, scenarios = world_set("tiny", hops=(2,), count=12)
    drawn = Evaluation([sets], scenarios, attempts=2, temperature=1.0)
    assert drawn.run("weak") == drawn.run("weak") != replace(drawn, seed=1).run("weak")


def test_a_player_that_raises_loses_its_own_games_alone(evaluation, casting, tmp_path):
    casting["reader"] = Reader(fails=lambda view: "Town 5" in view.messages[1].content)
    kept = replace(evaluation, folder=tmp_path / "out")
    answers = kept.run("reader")
    failed = [answer for answer in answers if answer.failure]
    assert [answer.question_id for answer in failed] == ["q5"]
    assert "ConnectionError: the model is down" in failed[0].failure
    assert accuracy(answers) == 1.0 and figures_of(answers).errors == 1
    # What failed is played again, and nothing else is.
    casting["reader"] = Reader()
    advanced = []
    assert accuracy(kept.run("reader", lambda: advanced.append(1))) == 1.0 and len(advanced) == 8
    assert {view.messages[1].content.rpartition("Town ")[2] for view in casting["reader"].views} == {"5?"}
    assert len(read_answers(kept.path_of("reader")).answers) == 8


def test_a_killed_evaluation_goes_on_to_the_same_answers(evaluation, casting, tmp_path, monkeypatch):
    monkeypatch.setattr("baselines.evaluation.run.TOGETHER", 2)
    calls = []

    def dies(view):
        calls.append(view)
        if len(calls) > 9:
            raise KeyboardInterrupt
        return False

    casting["reader"] = Reader()
    whole = evaluation.run("reader")
    casting["reader"] = Reader(fails=dies)
    kept = replace(evaluation, folder=tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        kept.run("reader")
    path = kept.path_of("reader")
    before = len(read_answers(path).answers)
    assert 0 < before < 8
    with path.open("a") as file:
        file.write('{"set": "mayors", "torn')
    assert len(read_answers(path).answers) == before
    casting["reader"] = Reader()
    again = kept.run("reader")
    plain = [json.loads(json.dumps(vars(answer))) for answer in again]
    assert plain == [json.loads(json.dumps(vars(answer))) for answer in whole]
    assert len({view.game_id for view in casting["reader"].views}) == 8 - before
    assert len(read_answers(path).answers) == 8
    # The games are there too, each once, and play again as they were played.
    episodes = list(read_episodes(kept.games_of("reader")))
    assert sorted(one.game_id for one in episodes) == [f"mayors/q{n}/0" for n in range(8)]
    assert not any(map(first_difference, episodes))


def test_an_answer_that_the_rules_refuse_is_none(evaluation, casting):
    ruled = {"": evaluation.scenarios[""].with_rules({"grounded": True})}
    casting["reader"] = Reader()
    answers = replace(evaluation, scenarios=ruled).run("reader")
    assert accuracy(answers) == 0.0 and {answer.ended for answer in answers} == {"unquoted"}
    assert accuracy(replace(evaluation, scenarios=ruled, control="gold-passages").run("reader")) == 1.0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"attempts": 2}, "attempts"),
        ({"temperature": 0.5}, "temperature"),
        ({"seed": 1}, "seed"),
        ({"control": "closed-book"}, "control"),
        ({"max_new_tokens": 7}, "max_new_tokens"),
    ],
)
def test_answers_of_other_options_are_not_mixed(evaluation, casting, tmp_path, change, named):
    casting["reader"] = Reader()
    kept = replace(evaluation, folder=tmp_path / "out")
    kept.run("reader")
    before = kept.path_of("reader").read_bytes()
    with pytest.raises(ValueError, match=f"begun with another {named}: .*choose another folder"):
        replace(kept, **change).run("reader")
    assert kept.path_of("reader").read_bytes() == before


def test_answers_to_other_questions_or_under_other_rules_are_not_mixed(evaluation, casting, tmp_path):
    casting["reader"] = Reader()
    kept = replace(evaluation, folder=tmp_path / "out")
    kept.run("reader")
    fewer = replace(kept, sets=[kept.sets[0].draw(4, 0)])
    with pytest.raises(ValueError, match="begun with another sets"):
        fewer.run("reader")
    ruled = replace(kept, scenarios={"": kept.scenarios[""].with_rules({"top_k": 1})})
    with pytest.raises(ValueError, match="begun with another rules"):
        ruled.run("reader")


def test_a_chat_endpoint_answers(evaluation):
    with chat_server(lambda request: completion("<answer> Person 1 </answer>")) as (address, requests):
        answers = evaluation.run(f"chat:small@{address}")
    assert accuracy(answers) == 1 / 8 and len(requests) == 8


# -- controls ----------------------------------------------------------------------------------------------


def test_a_closed_book_reading_has_nothing_to_read(evaluation, casting):
    casting["reader"] = Reader()
    answers = replace(evaluation, control="closed-book").run("reader")
    assert accuracy(answers) == 0.0 and {answer.searches for answer in answers} == {0}
    assert {(view.role, view.probe, view.may_search) for view in casting["reader"].views} == {
        ("reader", "closed_book", False)
    }
    assert not any("Doc 1" in m.content for view in casting["reader"].views for m in view.messages)
    assert "support_recall" not in figures_of(answers).by_name


def test_gold_passages_are_read_in_one_turn(evaluation, casting):
    casting["reader"] = Reader()
    answers = replace(evaluation, control="gold-passages").run("reader")
    assert accuracy(answers) == 1.0 and {answer.turns for answer in answers} == {1}
    (shown,) = {view.messages[1].content.count("Doc ") for view in casting["reader"].views}
    assert shown == 1


class Batched(Reader):
    def act_batch(self, views):
        return [self.act(view) for view in views]


class Later(Reader):
    async def act(self, view):
        return super().act(view)


@pytest.mark.parametrize("kind", [Batched, Later])
def test_controls_ask_every_kind_of_player(evaluation, casting, kind):
    casting["reader"] = kind()
    assert accuracy(replace(evaluation, control="gold-passages").run("reader")) == 1.0


def test_a_question_without_its_passages_fails_alone(evaluation, casting):
    (one,) = evaluation.sets
    lost = replace(one.questions[2], titles=("Nowhere",))
    sets = [replace(one, questions=(*one.questions[:2], lost, *one.questions[3:]))]
    casting["reader"] = Batched()
    answers = replace(evaluation, sets=sets, control="gold-passages").run("reader")
    assert [NO_PASSAGES in (answer.failure or "") for answer in answers] == [n == 2 for n in range(8)]
    nameless = [replace(one, questions=tuple(replace(q, titles=()) for q in one.questions))]
    with pytest.raises(ValueError, match="needs supporting passages, which no question of this set names"):
        replace(evaluation, sets=nameless, control="gold-passages").run("reader")


def test_scripted_readers_solve_worlds_with_their_passages_and_not_without():
    sets, scenarios = world_set("tiny", hops=(1, 3), count=8)
    played = Evaluation([sets], scenarios)
    assert accuracy(replace(played, control="gold-passages").run("perfect")) == 1.0
    assert accuracy(replace(played, control="closed-book").run("perfect")) == 0.0
    with pytest.raises(ValueError, match=r"weak does not read: .* scripted players are perfect, guess"):
        replace(played, control="closed-book").run("weak")


# -- files of answers --------------------------------------------------------------------------------------


def test_files_that_hold_no_answers_are_refused(tmp_path):
    path = tmp_path / "x.answers.jsonl"
    for text, problem in (
        ("", "got an empty file"),
        ('{"id": 1}\n', "whose first line names the evaluation"),
        (
            '{"evaluation": 99, "package": "9.9"}\n',
            "expected answers of version 1, got version int 99, written by ssp-env 9.9",
        ),
        ('{"evaluation": 1}\n{"set": "s"}\n', "are missing"),
        ('{"evaluation": 1}\nnonsense\n{"set": "s"}\n', "invalid JSON"),
        ("[1]\n", "expected one JSON object a line"),
    ):
        path.write_text(text)
        with pytest.raises(DataFileError, match=problem):
            read_answers(path)


def test_another_file_is_not_overwritten(evaluation, casting, tmp_path):
    casting["reader"] = Reader()
    kept = replace(evaluation, folder=tmp_path / "out")
    kept.path_of("reader").parent.mkdir()
    kept.path_of("reader").write_text('{"mine": 1}\n')
    with pytest.raises(DataFileError, match="whose first line names the evaluation"):
        kept.run("reader")
    assert kept.path_of("reader").read_text() == '{"mine": 1}\n'


def test_two_processes_do_not_write_one_file(evaluation, casting, tmp_path):
    kept = replace(evaluation, folder=tmp_path / "out")

    class Rival(Reader):
        def act(self, view):
            with pytest.raises(ValueError, match="another process is writing"):
                kept.run("reader")
            return super().act(view)

    casting["reader"] = Rival()
    assert accuracy(kept.run("reader")) == 1.0

"""Scenarios: what games are played in, opened in one place, as objects and as plain data."""

import json
import math
import pickle
import re
from dataclasses import replace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ssp_env.game import Budget, GameConfig, Task
from ssp_env.game.config import TERSE_RULES
from ssp_env.play import play
from ssp_env.scenario import SCENARIO_VERSION, Scenario, ScenarioConfig, open_scenario
from ssp_env.search.bm25 import BM25Engine
from ssp_env.worlds import World, is_heldout_composition, parse_question, world_preset
from tests.game.doubles import PAGES, Shelf

LONG = "word " * 40


@pytest.fixture
def corpus(tmp_path):
    file = tmp_path / "corpus.jsonl"
    pages = [
        ("1", "Odense", f"Odense is a city. {LONG}"),
        ("2", "Funen", f"Odense lies on Funen. {LONG}"),
        ("3", "Odense (ship)", LONG),
    ]
    file.write_text("".join(json.dumps({"id": i, "title": t, "text": x}) + "\n" for i, t, x in pages))
    return file


# -- worlds ----------------------------------------------------------------------------------------------


def test_a_world_brings_engine_tasks_questions_rules_and_oracle():
    scenario = open_scenario("tiny", split="heldout", index=3)
    world = World(world_preset("tiny", split="heldout", index=3))
    assert scenario.world is not None and scenario.world.id == world.id == "tiny-heldout-3"
    assert scenario.rules == TERSE_RULES
    assert {(task.answer, task.hops) for task in scenario.tasks} == {
        (name, hops) for hops in (1, 2, 3) for name in world.answers(hops)
    }
    assert len(scenario.questions) == 120
    assert scenario.oracle is not None
    for task in scenario.questions:
        assert scenario.oracle(task.question) == {task.answer}
        assert world.hops_of(task.question) == task.hops


def test_training_worlds_ask_no_held_out_composition_and_held_out_worlds_do():
    def heldout(split):
        relations = [
            parse_question(task.question).relations for task in open_scenario("tiny", split=split).questions
        ]
        return sum(map(is_heldout_composition, relations))

    assert heldout("train") == 0 < heldout("heldout")


def test_every_caller_gets_the_same_engine_and_rules_for_a_world():
    first, second = (open_scenario("tiny", index=7) for _ in range(2))
    assert first.engine.fingerprint() == second.engine.fingerprint()
    by_id = open_scenario("tiny-train-7")
    assert by_id.engine.fingerprint() == first.engine.fingerprint()
    assert by_id.tasks == first.tasks and by_id.questions == first.questions


def test_prose_worlds_are_played_by_the_published_rules():
    scenario = open_scenario("prose_full_96x3-train-0", hops=(2,))
    assert scenario.rules == GameConfig()
    assert {task.hops for task in scenario.tasks} == {2}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"world": "tinny"}, "unknown world preset 'tinny'"),
        ({"world": "tiny-train-3", "index": 4}, "names split and index already"),
        ({"world": "tiny", "corpus": "x.jsonl"}, "world and corpus exclude each other"),
        ({"hops": ()}, "hops must be whole numbers of at least 1, got []"),
        ({"hops": (0,)}, "hops must be whole numbers of at least 1, got [0]"),
        ({"rules": {"max_turn": 3}}, "unknown rule 'max_turn': did you mean 'max_turns'?"),
        ({"search": "dense"}, "expected dense:MODEL"),
        ({"search": "no.such.module:thing"}, "search engine 'no.such.module:thing': there is no module"),
    ],
)
def test_what_cannot_be_opened_is_refused_with_what_was_expected(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        open_scenario(**arguments)


# -- corpora ---------------------------------------------------------------------------------------------


def test_short_titles_of_a_corpus_are_the_answers_if_none_are_given(corpus):
    scenario = open_scenario(corpus=corpus, hops=(2,))
    assert [(task.answer, task.hops) for task in scenario.tasks] == [("Funen", 2), ("Odense", 2)]
    assert scenario.questions == () and scenario.oracle is None
    assert scenario.description == "corpus.jsonl, 3 passages"


def test_answers_and_questions_come_from_files(corpus, tmp_path):
    answers, questions = tmp_path / "answers.jsonl", tmp_path / "questions.jsonl"
    answers.write_text('{"answer": "Odense", "hops": 3}\n{"answer": "Funen"}\n')
    questions.write_text('{"id": "q1", "question": "Where is it?", "golden_answers": ["Funen", "Fyn"]}\n')
    scenario = open_scenario(corpus=corpus, answers=answers, questions=questions, hops=(1,))
    assert [(task.answer, task.hops) for task in scenario.tasks] == [("Odense", 3), ("Funen", 1)]
    (known,) = scenario.questions
    assert (known.question, known.answer, known.aliases) == ("Where is it?", "Funen", ("Fyn",))
    (game,) = scenario.games(scenario.draw_questions(1))
    assert game.phase == "solve"
    with pytest.raises(ValueError, match="2 questions were asked for, but there are 1"):
        scenario.draw_questions(2)


def test_answers_are_asked_once_per_number_of_hops_unless_they_say_their_own(corpus):
    scenario = open_scenario(corpus=corpus, answers=["Odense", Task("Funen", hops=4)], hops=(1, 2))
    assert sorted((task.answer, task.hops) for task in scenario.tasks) == [
        ("Funen", 4),
        ("Odense", 1),
        ("Odense", 2),
    ]


def test_a_corpus_without_a_title_to_ask_for_says_so(tmp_path):
    file = tmp_path / "corpus.jsonl"
    file.write_text('{"id": "1", "title": "Odense", "text": "A stub."}\n')
    with pytest.raises(ValueError, match=r"corpus\.jsonl has no passage with a title of at most 3 words"):
        _ = open_scenario(corpus=file).tasks


# -- engines ---------------------------------------------------------------------------------------------


class Retriever:
    """What LangChain calls a retriever."""

    def invoke(self, query):
        return ["Tavor was mayor of Corun."]


def test_anything_that_searches_may_be_given(tmp_path):
    engine = Shelf()
    assert open_scenario(search=engine, answers=["x"]).engine is engine
    found = open_scenario(search=Retriever(), answers=["x"]).engine.search(["mayor"], top_k=1)
    assert "Tavor" in found[0][0].text
    found = open_scenario(search=f"{__name__}:Retriever", answers=["x"]).engine.search(["mayor"], top_k=1)
    assert "Tavor" in found[0][0].text
    by_corpus = open_scenario(search={"a": engine}, answers=[Task("x", corpus="a")])
    assert by_corpus.search == {"a": engine}
    with pytest.raises(ValueError, match="there is an engine for each of a"):
        _ = by_corpus.engine
    built = BM25Engine(PAGES, path=tmp_path / "index")
    opened = open_scenario(search=tmp_path / "index", answers=["x"]).engine
    assert opened.fingerprint() == built.fingerprint()


def test_without_answers_and_a_corpus_there_is_nothing_to_ask_for():
    with pytest.raises(ValueError, match="there is nothing to ask for: give answers"):
        _ = open_scenario(search=Shelf()).tasks


# -- rules -----------------------------------------------------------------------------------------------


def test_rules_fit_the_prompts_of_the_players_and_keep_what_was_changed():
    scenario = open_scenario("tiny", rules={"attempts": 3, "max_turns": 5})
    assert scenario.rules == replace(TERSE_RULES, attempts=3).with_budget(max_turns=5)
    english = scenario.with_prompts("few_shot")
    assert english.rules == GameConfig(prompts="few_shot", attempts=3).with_budget(max_turns=5)
    assert english.engine is scenario.engine
    assert english.with_prompts("terse").rules == scenario.rules
    assert open_scenario("small", prompts="terse").rules == TERSE_RULES
    assert open_scenario("tiny", rules={"prompts": "few_shot"}).with_prompts("terse").rules == TERSE_RULES
    assert scenario.with_rules({"attempts": 2}).rules.attempts == 2
    assert scenario.with_rules(GameConfig()).rules == GameConfig()


# -- drawing ---------------------------------------------------------------------------------------------


def test_every_answer_is_drawn_once_before_any_comes_again():
    scenario = open_scenario("tiny", hops=(1, 2))
    drawn = scenario.draw_tasks(100, seed=3)
    asked = [(task.answer, task.hops) for task in drawn]
    assert len(set(asked[:48])) == 48 == len(scenario.tasks)
    assert len(set(asked[48:96])) == 48
    assert [task.id for task in drawn] == [str(number) for number in range(1, 101)]
    assert drawn == scenario.draw_tasks(100, seed=3) != scenario.draw_tasks(100, seed=4)


def test_questions_of_a_world_are_drawn_evenly_over_the_hops():
    scenario = open_scenario("tiny", split="heldout", hops=(1, 3))
    drawn = scenario.draw_questions(5, seed=1)
    assert [task.hops for task in drawn] == [1, 1, 1, 3, 3]
    assert drawn == scenario.draw_questions(5, seed=1)


# -- plain data ------------------------------------------------------------------------------------------


def plainly(scenario):
    return json.loads(json.dumps(scenario.to_dict()))


@given(
    index=st.integers(0, 20),
    split=st.sampled_from(["train", "heldout"]),
    hops=st.lists(st.integers(1, 4), min_size=1, max_size=3, unique=True),
    rules=st.fixed_dictionaries(
        {},
        optional={
            "attempts": st.integers(1, 5),
            "top_k": st.integers(1, 5),
            "solver": st.just({"max_turns": 4}),
        },
    ),
)
def test_a_scenario_comes_back_from_json_as_it_was(index, split, hops, rules):
    scenario = open_scenario("tiny", split=split, index=index, hops=hops, rules=rules)
    again = Scenario.from_dict(plainly(scenario))
    assert again.rules == scenario.rules
    assert again.engine.fingerprint() == scenario.engine.fingerprint()
    assert again.tasks == scenario.tasks


def test_files_tasks_and_whole_rule_sets_come_back_too(corpus):
    rules = GameConfig(attempts=2, solver=Budget(max_turns=3))
    tasks = [Task("Odense", ("Othinia",), 2, provenance={"row": 3})]
    known = [Task("Funen", question="Which island?", id="k")]
    scenario = open_scenario(corpus=corpus, answers=tasks, questions=known, rules=rules)
    again = Scenario.from_dict(plainly(scenario))
    assert (again.rules, again.tasks, again.questions) == (rules, scenario.tasks, scenario.questions)


def test_yaml_names_a_corpus_its_answers_and_the_rules(corpus, tmp_path):
    (tmp_path / "answers.jsonl").write_text('{"answer": "Odense", "hops": 2}\n')
    written = f"""
    corpus: {corpus}
    answers: {tmp_path / "answers.jsonl"}
    hops: [2]
    rules: {{attempts: 5, top_k: 3, noise_passages: 0, solver: {{max_turns: 4}}}}
    """
    scenario = Scenario.from_dict(yaml.safe_load(written))
    assert [(task.answer, task.hops) for task in scenario.tasks] == [("Odense", 2)]
    assert (scenario.rules.attempts, scenario.rules.solver.max_turns) == (5, 4)
    assert scenario.engine.search(["Odense"], 1)[0]


def test_data_that_names_no_corpus_is_refused():
    with pytest.raises(ValueError, match="expected a world, a corpus or something that searches"):
        Scenario.from_dict({"answers": ["Odense"]})


def test_copies_of_a_game_are_games_of_their_own():
    scenario = open_scenario("tiny", hops=[1])
    tasks = scenario.draw_questions(2)
    games = scenario.games(tasks, seed=3, copies=3)
    assert [game.task for game in games] == [task for task in tasks for _ in range(3)]
    assert len({game.id for game in games}) == len({game.snapshot()["seed"] for game in games}) == 6
    with pytest.raises(ValueError, match="copies"):
        scenario.games(tasks, copies=0)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"version": 99}, f"expected a scenario of version {SCENARIO_VERSION}, got version 99"),
        ({"wrold": "tiny"}, "unknown scenario option 'wrold': did you mean 'world'?"),
        ({"answers": [{"anser": "x"}]}, "unknown key of a task 'anser': did you mean 'answer'?"),
    ],
)
def test_data_of_another_version_or_with_a_misspelled_key_is_refused(data, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ScenarioConfig.from_dict(data)


def test_an_object_without_a_name_is_no_plain_data():
    with pytest.raises(TypeError, match="search is an object cannot be written as plain data"):
        open_scenario(search=Shelf(), answers=["x"]).to_dict()


def test_a_scenario_pickles():
    scenario = pickle.loads(pickle.dumps(open_scenario("tiny", rules={"attempts": 2})))
    assert scenario.rules.attempts == 2
    assert scenario.engine.search(["mayor"], 1)


def test_its_games_are_played(corpus):
    class Silent:
        def act(self, view):
            return "hm"

    scenario = open_scenario(corpus=corpus)
    outcomes = play(scenario.games(), proposer=Silent(), solver=Silent(), search=scenario.search)
    assert {outcome.reason for outcome in outcomes} == {"malformed"}


def test_a_reward_function_of_a_scenario_is_written_by_its_name():
    written = open_scenario("tiny", rules={"reward": math.sqrt}).to_dict()
    assert written["rules"]["reward"] == "math:sqrt"
    assert Scenario.from_dict(written).rules.reward == "math:sqrt"


def test_an_engine_of_ones_own_is_named_in_the_description():
    def my_finder(query):
        return []

    assert open_scenario("tiny", search=my_finder).description.endswith(", searched by my_finder")

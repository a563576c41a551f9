"""The PettingZoo environment: official tests, order of play, pay day, observations, infos and bad input."""

import pickle
from dataclasses import replace

import numpy as np
import pettingzoo
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Text, flatten, unflatten
from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, render_test, seed_test
from pettingzoo.utils.conversions import turn_based_aec_to_parallel
from pettingzoo.utils.wrappers import AssertOutOfBoundsWrapper

from ssp_env import search_self_play_v0
from ssp_env.envs.aec import PHASES
from ssp_env.envs.spaces import UnicodeText
from ssp_env.game import PROTOCOLS, GameConfig, Reply, Task
from ssp_env.game.events import TurnTaken
from ssp_env.game.passage import Passage
from tests.game.doubles import PAGES, PROPOSAL, QUESTION, TASK, Shelf, answer, question, rules, search

MARKER = "Zyxwvut"


def right_reader(view):
    return "<answer> Tavor </answer>"


def make(**arguments):
    """The environment over the shelf of the game tests; `game` options go into the rules."""
    config = rules(**arguments.pop("game", {}))
    return search_self_play_v0.env(**{"tasks": [TASK], "search": Shelf(), "config": config, **arguments})


def started(**arguments):
    env = make(**arguments)
    env.reset(seed=0)
    return env


def say(env, *lines):
    for line in lines:
        env.step(line)


def finish(env):
    """Step the agents out and return what each of them last saw."""
    last = {}
    while env.agents:
        agent = env.agent_selection
        last[agent] = env.last()
        env.step(None)
    return last


# -- official tests ----------------------------------------------------------------------------------------

# tests/conformance has the grid of configurations; here are the environment's defaults.

READERS = ["solver", right_reader]


def test_the_embedded_world_passes_the_official_tests(capsys):
    api_test(search_self_play_v0.env(), num_cycles=8)
    seed_test(search_self_play_v0.env, num_cycles=8)
    render_test(search_self_play_v0.env)
    assert "task: " in capsys.readouterr().out


class Talker:
    """Plays proper games at random: mostly legal actions, sometimes noise."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def __call__(self, env, agent):
        if self.rng.random() < 0.2:
            return env.action_space(agent).sample()
        searches = [search(word) for word in ("belin", "corun", "sarn", "nobody")]
        finals = [question(), question("short")] if agent == "proposer_0" else [answer(), answer("x")]
        return str(self.rng.choice([*searches, *finals]))


@pytest.mark.parametrize("seed", range(8))
def test_contract_holds_in_games_that_get_far(seed):
    env = make(game={"attempts": 3, "retries": 5, "min_searches": 0, "noise_passages": 2})
    talker = Talker(seed)
    for _ in range(10):
        env.reset(seed=None)
        paid = dict.fromkeys(env.possible_agents, 0.0)
        for agent in env.agent_iter():
            observation, reward, terminated, truncated, _ = env.last()
            paid[agent] += reward
            assert observation in env.observation_space(agent)
            assert type(terminated) is type(truncated) is bool
            assert set(env.rewards) == set(env.infos) == set(env.terminations) == set(env.agents)
            assert len(set(env.terminations.values())) == 1
            assert not any(env.truncations.values())
            env.step(None if terminated or truncated else talker(env, agent))
        assert paid == env.unwrapped.game.outcome.rewards


def test_the_same_seed_gives_the_same_games_to_the_last_event():
    def played(seed):
        env = make(tasks=[TASK, Task("Sarn", id="s")], game={"attempts": 2, "min_searches": 0, "retries": 9})
        talker, events = Talker(3), []
        for number in range(12):
            env.reset(seed=seed if number == 0 else None)
            for space in env.unwrapped.action_spaces.values():
                space.seed(number)
            for agent in env.agent_iter():
                *_, terminated, truncated, _ = env.last()
                env.step(None if terminated or truncated else talker(env, agent))
            events.append((env.unwrapped.game.task.answer, env.unwrapped.game.events))
        return events

    first = played(5)
    assert first == played(5)
    assert first != played(6)
    assert {name for name, _ in first} == {"Tavor", "Sarn"}


# -- order of play -----------------------------------------------------------------------------------------


def test_agents_and_spaces_exist_before_reset():
    env = make(game={"attempts": 3})
    assert env.possible_agents == ["proposer_0", "solver_0", "solver_1", "solver_2"]
    assert str(env) == "search_self_play_v0"
    for agent in env.possible_agents:
        assert env.action_space(agent) is env.action_space(agent)
        assert isinstance(env.action_space(agent), UnicodeText)
        # Tianshou insists on equal spaces.
        assert env.observation_space(agent) == env.observation_space("proposer_0")
        assert env.action_space(agent) == env.action_space("proposer_0")
        # PettingZoo's api_test would look for a dtype under this key.
        assert "observation" not in env.observation_space(agent).spaces
        # TorchRL keeps as text what has Text among its ancestors.
        assert isinstance(env.action_space(agent), Text)
        assert isinstance(env.observation_space(agent)["prompt"], Text)
    with pytest.raises(AttributeError, match="before reset"):
        _ = env.agents


def test_the_order_of_play_with_the_solver_as_reader():
    env = started(game={"attempts": 2})
    order = []

    def step(line):
        order.append((env.agent_selection, PHASES[env.observe(env.agent_selection)["phase"]]))
        env.step(line)

    for line in [*PROPOSAL, answer(), search("belin"), answer(), search("corun"), "hm", answer()]:
        step(line)
    assert order == [
        *[("proposer_0", "propose")] * 4,
        ("solver_0", "verify"),
        *[("solver_0", "solve")] * 2,
        *[("solver_1", "solve")] * 3,
    ]
    assert PHASES[env.observe("solver_0")["phase"]] == "done"


def test_an_injected_reader_takes_no_turn_and_sees_the_evidence():
    seen = []

    def reader(view):
        seen.append(view)
        return answer()

    env = started(reader=reader)
    say(env, *PROPOSAL)
    assert env.agent_selection == "solver_0"
    assert PHASES[env.observe("solver_0")["phase"]] == "solve"
    (view,) = seen
    assert view.phase == "verify"
    assert "The mother of Sarn is Tavor." in view.messages[-1].content


def test_without_rag_check_the_solver_starts_at_once():
    env = started(game={"rag_check": False})
    say(env, *PROPOSAL)
    assert env.unwrapped.game.phase == "solve"


# -- pay day -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "proposer", "solver"), [("Tavor", 0.0, 1.0), ("Nobody", 1.0, 0.0)])
def test_known_outcomes(text, proposer, solver):
    env = started(game={"attempts": 5}, reader=right_reader)
    say(env, *PROPOSAL)
    for _ in range(5):
        assert set(env.rewards.values()) == {0.0}
        assert not any(env.terminations.values())
        say(env, answer(text))
    assert env.rewards == {"proposer_0": proposer, **{f"solver_{k}": solver for k in range(5)}}
    assert set(env.terminations.values()) == {True}
    assert set(env.truncations.values()) == {False}
    last = finish(env)
    assert {agent: result[1] for agent, result in last.items()} == {
        "proposer_0": proposer,
        **{f"solver_{k}": solver for k in range(5)},
    }
    for result in last.values():
        assert result[4]["verdict"] == "valid"
        assert result[4]["reason"] == ("solved" if solver else "unsolved")
        assert result[4]["success_rate"] == solver
        assert result[4]["metrics"]["proposer_searches"] == 3.0


def test_an_invalid_question_ends_the_game_for_everybody():
    env = started(game={"attempts": 2, "invalid_reward": -0.25})
    say(env, question("short"))
    assert env.rewards == {"proposer_0": -0.25, "solver_0": 0.0, "solver_1": 0.0}
    last = finish(env)
    assert set(last) == {"proposer_0", "solver_0", "solver_1"}
    assert {result[4]["reason"] for result in last.values()} == {"too_short"}


@pytest.mark.parametrize("source", ["search", "noise", "reader", "judge"])
def test_broken_infrastructure_truncates_everybody_without_pay(source):
    class Breaking(Shelf):
        def search(self, queries, top_k):
            if source == "search" and "sarn" in queries:
                raise ConnectionError("down")
            return super().search(queries, top_k)

        def sample(self, rng, count, exclude):
            if source == "noise":
                raise ConnectionError("down")
            return super().sample(rng, count, exclude)

    def reader(view):
        if source == "reader":
            raise ConnectionError("down")
        return answer()

    def judge(request):
        raise ConnectionError("down")

    env = started(
        search=Breaking(),
        reader=reader,
        judge=judge,
        game={"judge": True, "attempts": 2, "invalid_reward": -1.0},
    )
    lines = [*PROPOSAL, answer(), answer("Lady T.")]
    while not any(env.truncations.values()):
        env.step(lines.pop(0))
    assert set(env.truncations.values()) == {True}
    assert set(env.terminations.values()) == {False}
    assert set(env.rewards.values()) == {0.0}
    for _, reward, _, _, info in finish(env).values():
        assert reward == 0.0
        assert (info["verdict"], info["reason"]) == ("error", "error")


def test_a_reader_that_returns_no_text_is_broken_infrastructure():
    env = started(reader=lambda view: None)
    say(env, *PROPOSAL)
    assert env.infos["proposer_0"]["reason"] == "error"


@pytest.mark.parametrize("verdict", [True, False])
def test_the_judge_decides_what_does_not_match(verdict):
    env = started(game={"judge": True}, judge=lambda request: verdict, reader=right_reader)
    say(env, *PROPOSAL, answer("Lady T."))
    assert env.rewards == {"proposer_0": 1.0 - verdict, "solver_0": float(verdict)}


def test_dead_agents_accept_none_only_and_another_game_may_follow():
    env = started()
    say(env, question("short"))
    with pytest.raises(ValueError, match="only valid action is None"):
        env.step("text")
    env.step(None)
    env.reset()
    assert env.agents == ["proposer_0", "solver_0"]
    assert env.agent_selection == "proposer_0"
    assert not any(env.terminations.values())
    say(env, question("short"))
    assert len(finish(env)) == 2
    assert env.agents == []


# -- observations and infos --------------------------------------------------------------------------------


def test_the_prompt_is_the_agents_whole_conversation():
    env = started()
    opening = env.observe("proposer_0")
    assert opening["prompt"].endswith(env.infos["proposer_0"]["messages"][-1]["content"])
    assert "Answer: Tavor" in opening["prompt"]
    assert env.observe("solver_0")["prompt"] == ""
    say(env, search("belin"))
    later = env.observe("proposer_0")
    assert later["prompt"] == "\n".join(
        [
            opening["prompt"],
            search("belin"),
            "<information>\nDoc 1 (Title: Belin)\n" + PAGES[0].text + "\n</information>",
        ]
    )
    assert later == env.observe("proposer_0") == env.last()[0]


def test_messages_are_plain_chat_data():
    env = started()
    say(env, search("belin") + " tail")
    messages = env.infos["proposer_0"]["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "tool"]
    assert messages[2] == {"role": "assistant", "content": search("belin")}
    assert all(set(message) == {"role", "content"} for message in messages)
    messages.clear()
    assert len(env.unwrapped.game.requests()[0].view.messages) == 4


def test_the_last_words_of_an_agent_are_in_its_conversation():
    env = started(reader=right_reader)
    say(env, *PROPOSAL, answer("Nobody"))
    assert env.infos["proposer_0"]["messages"][-1]["content"] == question()
    assert env.infos["solver_0"]["messages"][-1]["content"] == answer("Nobody")
    assert env.observe("solver_0")["prompt"].endswith(answer("Nobody"))


def test_budgets_and_counters():
    env = started(game={"max_turns": 6, "max_searches": 4, "retries": 2})
    assert {key: env.observe("solver_0")[key] for key in ("turns_left", "searches_left")} == {
        "turns_left": 6,
        "searches_left": 4,
    }
    say(env, search("belin"), "hm", search("corun"))
    observation, info = env.observe("proposer_0"), env.infos["proposer_0"]
    assert (observation["turns_left"], observation["searches_left"]) == (3, 2)
    assert (info["turns"], info["searches"], info["cut_action_chars"]) == (3, 2, 0)
    say(env, question())
    assert (env.observe("solver_0")["turns_left"], env.observe("solver_0")["searches_left"]) == (1, 0)
    say(env, answer())
    assert (env.observe("solver_0")["turns_left"], env.observe("solver_0")["searches_left"]) == (6, 4)
    assert env.observe("proposer_0")["turns_left"] == 2
    say(env, search("belin"))
    assert (env.observe("solver_0")["turns_left"], env.observe("solver_0")["searches_left"]) == (5, 3)


def test_observations_flatten():
    env = started(max_prompt_chars=4096)
    space = env.observation_space("proposer_0")
    observation = env.observe("proposer_0")
    assert unflatten(space, flatten(space, observation)) == observation


def test_a_prompt_over_its_bound_loses_its_oldest_text():
    env = started(max_prompt_chars=200)
    prompt = env.observe("proposer_0")["prompt"]
    assert len(prompt) == 200
    assert env.observe("proposer_0") in env.observation_space("proposer_0")
    assert env.infos["proposer_0"]["messages"][-1]["content"].endswith(prompt[-50:])
    assert started(max_prompt_chars=0).observe("proposer_0")["prompt"] == ""


@pytest.mark.parametrize("reader", READERS, ids=["solver", "injected"])
@pytest.mark.parametrize("ending", [answer("Nobody"), "hm"])
def test_a_solver_never_sees_the_answer_or_the_proposers_words(reader, ending):
    task = Task(MARKER, aliases=(f"{MARKER}son",), hops=2, id="x", provenance={"source": MARKER})
    thought = f"<think> the answer is {MARKER}, via qlink </think> "

    env = make(
        tasks=[task],
        game={"attempts": 2, "retries": 3},
        reader="solver" if reader == "solver" else lambda view: answer(MARKER),
    )
    env.reset(seed=0)
    lines = [thought + line for line in PROPOSAL]
    # As the reader, the solver may guess right; what it wrote itself is its own.
    lines += [answer("Zyxwvut")] if reader == "solver" else []
    lines += [search("belin"), "hm", ending, ending, ending, ending, answer("x"), answer("x")]
    checked = 0
    while not any(env.terminations.values()):
        env.step(lines.pop(0))
        for solver in ("solver_0", "solver_1"):
            told = [env.observe(solver), env.infos[solver]]
            if env.infos[solver]["messages"][-1:] == [{"role": "assistant", "content": answer(MARKER)}]:
                continue
            assert MARKER not in repr(told)
            assert "qlink" not in repr(told)
            checked += 1
    assert MARKER in env.observe("proposer_0")["prompt"]
    assert checked > 10


def test_an_answer_leaked_in_an_invalid_question_does_not_reach_the_solver():
    env = started(tasks=[Task(MARKER, id="x")])
    say(env, *PROPOSAL[:2], question(f"{QUESTION} Not {MARKER}?"))
    assert env.infos["solver_0"]["reason"] == "answer_leak"
    assert MARKER not in repr([env.observe("solver_0"), env.infos["solver_0"]])


def test_the_reading_does_not_follow_the_solver_into_its_attempt():
    env = started()
    say(env, *PROPOSAL)
    assert "The mother of Sarn is Tavor." in env.observe("solver_0")["prompt"]
    say(env, "notes " + answer())
    assert "The mother of Sarn" not in repr([env.observe("solver_0"), env.infos["solver_0"]])
    assert "notes" not in env.observe("solver_0")["prompt"]
    assert QUESTION in env.observe("solver_0")["prompt"]


def test_the_seed_shuffles_the_evidence():
    env = make(game={"noise_passages": 0})

    def reading(seed):
        env.reset(seed=seed)
        say(env, *PROPOSAL)
        return env.observe("solver_0")["prompt"]

    assert [reading(seed) for seed in range(6)] == [reading(seed) for seed in range(6)]
    assert len({reading(seed) for seed in range(6)}) > 1


def test_the_seed_draws_the_noise():
    env = make(game={"noise_passages": 2})

    def noise(seed):
        env.reset(seed=seed)
        say(env, *PROPOSAL)
        return frozenset(page.id for page in PAGES[3:] if page.title in env.observe("solver_0")["prompt"])

    assert {len(noise(seed)) for seed in range(8)} == {2}
    assert len({noise(seed) for seed in range(8)}) > 1


def test_a_search_shows_as_many_pages_as_the_rules_say():
    env = started(game={"top_k": 4})
    say(env, search("nobody"))
    assert env.observe("proposer_0")["prompt"].count("(Title: ") == 4


def test_attempts_do_not_see_each_other():
    env = started(reader=right_reader, game={"attempts": 2})
    say(env, *PROPOSAL)
    before = env.observe("solver_1"), env.infos["solver_1"]
    say(env, "<think> qlink </think> " + search("belin"))
    assert (env.observe("solver_1"), env.infos["solver_1"]) == before


# -- actions -----------------------------------------------------------------------------------------------


def test_a_long_reply_is_cut_and_counted_not_an_error():
    env = started(max_action_chars=60)
    say(env, search("belin").ljust(70, "x"))
    assert env.infos["proposer_0"]["searches"] == 1
    assert env.infos["proposer_0"]["cut_action_chars"] == 10
    say(env, "y" * 58 + search("corun"))
    assert env.infos["proposer_0"]["searches"] == 1
    assert env.infos["proposer_0"]["turns"] == 2
    assert env.infos["proposer_0"]["messages"][-2]["content"] == "y" * 58 + "<t"


@pytest.mark.parametrize("text", ["", "\x00\x1b[2J", "\ud800", "नमस्ते 🙂", np.str_(search("belin"))])
def test_any_text_is_an_action(text):
    env = started(game={"retries": 3})
    say(env, text)
    assert env.infos["proposer_0"]["turns"] == 1
    assert type(env.infos["proposer_0"]["messages"][2]["content"]) is str


@pytest.mark.parametrize("action", [None, 3, b"bytes", ["text"]])
def test_what_is_not_text_is_refused_and_changes_nothing(action):
    env = started()
    with pytest.raises(TypeError, match="an action must be a string"):
        env.step(action)
    assert env.infos["proposer_0"]["turns"] == 0
    say(env, search("belin"))
    assert env.infos["proposer_0"]["turns"] == 1


def test_actions_within_the_space_pass_the_bounds_wrapper():
    env = AssertOutOfBoundsWrapper(make().unwrapped)
    env.reset(seed=0)
    env.step("\x1b naïve 🙂")
    assert env.infos["proposer_0"]["turns"] == 1


# -- arguments ---------------------------------------------------------------------------------------------


def test_options_choose_the_task_and_other_keys_are_ignored():
    env = make()
    env.reset(seed=0, options={"task": Task("Sarn", hops=4), "unknown": 1})
    assert "Answer: Sarn\nN: 4" in env.observe("proposer_0")["prompt"]
    env.reset(options={"unknown": 1})
    assert "Answer: Tavor" in env.observe("proposer_0")["prompt"]
    with pytest.raises(TypeError, match=r"options\['task'\] must be a Task, got str"):
        env.reset(options={"task": "Sarn"})


def test_tasks_are_played_over_their_own_corpus():
    left, right = Shelf(), Shelf([Passage("r", "Belin", "right")])
    env = make(tasks=[Task("Tavor", corpus="right")], search={"left": left, "right": right})
    env.reset(seed=0)
    say(env, search("belin"))
    assert "right" in env.observe("proposer_0")["prompt"]
    assert left.batches == []


def test_a_given_question_goes_to_the_solvers_at_once():
    env = started(game={"attempts": 2})
    env.reset(seed=0, options={"task": replace(TASK, question=QUESTION)})
    assert env.agent_selection == "solver_0"
    assert PHASES[env.observe("solver_0")["phase"]] == "solve"
    assert QUESTION in env.observe("solver_0")["prompt"]
    assert env.observe("proposer_0")["prompt"] == ""
    say(env, search("belin"), answer(), answer("Nobody"))
    assert env.rewards == {"proposer_0": 0.5, "solver_0": 1.0, "solver_1": 0.0}
    assert env.infos["proposer_0"]["turns"] == 0


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"task": QUESTION}, TypeError, r"options\['task'\] must be a Task, got str"),
        ({"task": Task("Tavor", corpus="moon")}, ValueError, "no search engine for corpus 'moon'"),
    ],
)
def test_bad_options_say_what_was_expected(options, error, match):
    env = make(search={"": Shelf()})
    env.reset(seed=0)
    say(env, search("belin"))
    with pytest.raises(error, match=match):
        env.reset(options=options)


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda: Task(""), "non-blank answer"),
        (lambda: Task("Tavor", hops=0), "hops must be from 1 to 20, got 0"),
        (lambda: Task("Tavor", hops=99), "hops must be from 1 to 20, got 99"),
        (lambda: GameConfig(attempts=0), "attempts must be at least 1, got 0"),
    ],
)
def test_games_that_cannot_be_played_cannot_be_asked_for(build, match):
    with pytest.raises(ValueError, match=match):
        build()


def test_the_view_is_what_players_take():
    env = started()
    view = env.view
    assert (view.seat, view.phase) == ("proposer_0", "propose")
    say(env, *PROPOSAL)
    assert (env.view.seat, env.view.phase) == ("solver_0", "verify")
    env.abort("enough")
    with pytest.raises(ResetNeeded, match="nobody is to act"):
        _ = env.unwrapped.view


def test_a_driver_whose_player_broke_down_ends_the_game_as_error():
    env = started()
    say(env, search("belin"))
    env.abort("the model server is down")
    assert set(env.truncations.values()) == {True}
    assert set(env.rewards.values()) == {0.0}
    assert env.infos["solver_0"]["reason"] == "error"
    with pytest.raises(ResetNeeded, match="abort"):
        env.abort("again")
    finish(env)
    with pytest.raises(ResetNeeded, match="abort"):
        env.abort("again")


def test_the_raw_environment_needs_a_reset_before_it_steps_and_after_the_end():
    env = make().unwrapped
    with pytest.raises(ResetNeeded, match=r"call reset\(\) before step\(\)"):
        env.step("text")
    with pytest.raises(ResetNeeded, match="abort"):
        env.abort("too early")
    env.reset(seed=0)
    say(env, question("short"))
    finish(env)
    for action in ("text", None):
        with pytest.raises(ResetNeeded, match=r"call reset\(\) before step\(\)"):
            env.step(action)


def test_there_is_nothing_to_render_before_a_game():
    for face in (search_self_play_v0.raw_env, search_self_play_v0.parallel_env):
        with pytest.raises(ResetNeeded, match=r"call reset\(\) before render\(\)"):
            face(render_mode="ansi").render()


def test_the_wrapped_environment_warns_after_the_end_and_changes_nothing():
    env = started()
    say(env, question("short"))
    finish(env)
    events = list(env.unwrapped.game.events)
    env.step("text")
    assert env.unwrapped.game.events == events


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"search": None}, ValueError, "tasks needs search"),
        ({"tasks": None}, ValueError, "search needs tasks"),
        ({"tasks": []}, ValueError, "at least one Task"),
        ({"tasks": ["Tavor"]}, TypeError, "must hold Task objects, got str"),
        ({"search": {"moon": Shelf()}}, ValueError, "no search engine for corpus ''"),
        ({"reader": "reader"}, TypeError, "reader must be an agent with act"),
        ({"config": GameConfig(judge=True)}, ValueError, "needs judge="),
        ({"judge": lambda request: True}, ValueError, "never asked unless"),
        ({"render_mode": "html"}, ValueError, "render_mode must be None or one of human, ansi, got 'html'"),
        ({"max_action_chars": -1}, ValueError, "0 <= min_length <= max_length, got 0 and -1"),
    ],
)
def test_bad_arguments_say_what_was_expected(arguments, error, match):
    with pytest.raises(error, match=match):
        make(**arguments)


def test_the_embedded_world_is_generated_not_stored_and_its_games_can_be_won():
    env = search_self_play_v0.env()
    env.reset(seed=3)
    prompt = env.observe("proposer_0")["prompt"]
    word, hops, colon, name = prompt.split()
    assert (word, colon) == ("propose", ":")
    assert hops in "123"
    env.step(f"<search> {name} </search>")
    page = env.observe("proposer_0")["prompt"]
    assert page.count("<information>") == 1
    assert name in page.split("<information>")[1]
    prompts = set()
    for seed in range(30):
        env.reset(seed=seed)
        prompts.add(env.observe("proposer_0")["prompt"])
    assert len(prompts) > 15


# -- rendering ---------------------------------------------------------------------------------------------


def test_ansi_returns_the_whole_game_each_time():
    env = started(render_mode="ansi")
    assert env.render() == "task: Tavor (2 hops, also Tavor of Ruvia)\n"
    say(env, search("belin"))
    assert "search      for proposer_0: belin" in env.render()
    say(env, question("short"))
    text = env.render()
    assert text == env.render()
    assert text.startswith("task: ")
    assert text.endswith("outcome     invalid: too_short\n            rewards: proposer_0 0, solver_0 0\n")


def test_human_prints_each_thing_once_as_it_happens(capsys):
    env = started(render_mode="human")
    parts = [capsys.readouterr().out]
    for line in [search("belin"), "\x1b[31m \ud800", question("short")]:
        say(env, line)
        assert env.render() is None
        parts.append(capsys.readouterr().out)
    assert all(parts)
    assert "\x1b" not in "".join(parts)
    other = started(render_mode="ansi")
    say(other, search("belin"), "\x1b[31m \ud800", question("short"))
    assert "".join(parts) == other.render()
    finish(env)
    assert capsys.readouterr().out == ""


def test_rendering_without_a_mode_warns():
    env = started()
    with pytest.warns(UserWarning, match="render_mode"):
        assert env.render() is None


# -- packaging ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", range(8))
def test_pickles_before_and_in_the_middle_of_a_game(said):
    lines = [*PROPOSAL, answer(), search("belin"), answer("Nobody"), answer()]
    env = started(game={"attempts": 2, "noise_passages": 2})
    say(env, *lines[:said])
    copy = pickle.loads(pickle.dumps(env))
    for each in (env, copy):
        each.action_space("proposer_0").seed(3)
    for line in lines[said:]:
        assert copy.last() == env.last()
        assert copy.agent_selection == env.agent_selection
        say(env, line)
        say(copy, line)
    assert copy.unwrapped.game.events == env.unwrapped.game.events
    assert finish(copy) == finish(env)
    env.reset()
    copy.reset()
    assert copy.last() == env.last()


def test_pickles_before_the_first_reset_and_over_the_embedded_world():
    for env in (search_self_play_v0.env(), make(reader=right_reader, game={"attempts": 2})):
        copy = pickle.loads(pickle.dumps(env))
        for each in (env, copy):
            each.reset(seed=9)
        assert copy.possible_agents == env.possible_agents
        assert copy.last() == env.last()
    env = search_self_play_v0.env()
    env.reset(seed=9)
    say(env, search("nobody"))
    copy = pickle.loads(pickle.dumps(env))
    say(env, search("belin"))
    say(copy, search("belin"))
    assert copy.last() == env.last()


def test_a_pickled_action_space_goes_on_sampling_where_it_was():
    env = started()
    env.action_space("solver_0").seed(1)
    env.action_space("solver_0").sample()
    copy = pickle.loads(pickle.dumps(env))
    assert copy.action_space("solver_0").sample() == env.action_space("solver_0").sample()


@pytest.mark.skipif(not hasattr(pettingzoo, "register"), reason="the registry came with PettingZoo 1.27")
def test_is_registered_by_importing_the_package():
    env = pettingzoo.make("aec", "ssp/search_self_play-v0", render_mode="ansi", config=GameConfig(attempts=2))
    env.reset(seed=0)
    assert env.unwrapped.render_mode == "ansi"
    assert str(env.unwrapped) == "search_self_play_v0"
    assert env.num_agents == 3


def test_converts_to_the_parallel_api():
    parallel_api_test(turn_based_aec_to_parallel(make(game={"attempts": 2})), num_cycles=20)
    parallel_seed_test(lambda: turn_based_aec_to_parallel(make(game={"attempts": 2})), num_cycles=20)


def test_construction_does_no_work():
    calls = []

    class Watched(Shelf):
        def search(self, queries, top_k):
            calls.append(queries)
            return super().search(queries, top_k)

    env = make(search=Watched(), reader=lambda view: calls.append(view))
    assert calls == []
    env.reset(seed=0)
    assert calls == []
    env.close()


def test_a_reply_keeps_its_tokens_and_native_tool_calls():
    env = started(game={"protocol": "openai", "min_searches": 1})
    call = PROTOCOLS["openai"].write("search", "belin", call_id="c1").tool_calls
    env.step(Reply("looking", (1, 2, 3), tool_calls=call))
    _, said, found = env.infos["proposer_0"]["messages"][-3:]
    assert said["tool_calls"][0]["id"] == found["tool_call_id"] == "c1"
    assert "home in Corun" in found["content"]
    (turn,) = [event for event in env.unwrapped.game.events if isinstance(event, TurnTaken)]
    assert turn.reply.token_ids == (1, 2, 3)


def test_a_long_reply_is_cut_like_a_long_text():
    env = started(max_action_chars=20)
    env.step(Reply("x" * 30 + question(), (1,)))
    assert env.infos["proposer_0"]["cut_action_chars"] == 10 + len(question())


def test_a_world_is_named_in_place_of_a_scenario_and_nothing_else_is_taken():
    env = search_self_play_v0.env(scenario="tiny")
    env.reset(seed=0)
    assert env.agents
    with pytest.raises(TypeError, match=r"must be a Scenario, .* or the name of a world .* got int"):
        search_self_play_v0.env(scenario=7)

"""What agents of the environment are shown, and what its rendering shows to spectators."""

import pytest
from gymnasium.spaces import flatten, unflatten

from ssp_env.game import Task
from tests.envs.games import MARKER, READERS, finish, make, right_reader, say, started
from tests.game.doubles import PAGES, PROPOSAL, QUESTION, answer, question, search

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


def test_messages_of_the_environment_have_the_role_that_is_wanted():
    env = started(tool_role="user")
    say(env, search("belin"))
    roles = [message["role"] for message in env.infos["proposer_0"]["messages"]]
    assert roles == ["system", "user", "assistant", "user"]


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

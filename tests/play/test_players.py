"""What may be passed where an agent is expected: functions, coroutine functions, runnables, agents."""

import asyncio

import pytest

from ssp_env.envs.single_agent import ProposerEnv, SolverEnv
from ssp_env.game import Message, Reply, ToolCall, View
from ssp_env.play import ReplyError, act_all, as_agent, blocking, is_async_agent, play, play_async
from tests.game.doubles import Script, Shelf, answer, search
from tests.play.players import Wanderer, make_games

MESSAGES = (Message("user", "Who?"), Message("assistant", "hm"), Message("tool", "nothing"))
VIEW = View("g", "solver_0", "solve", MESSAGES, 1, 0)


def outcomes_of(player):
    return play(make_games(), proposer=player, solver=player, search=Shelf())


def test_functions_play_the_same_game_as_agents_everywhere():
    wanderer = Wanderer()
    expected = outcomes_of(wanderer)
    assert outcomes_of(wanderer.act) == expected

    async def asynchronous(view):
        return wanderer.act(view)

    games = make_games()
    assert (
        asyncio.run(play_async(games, proposer=asynchronous, solver=wanderer.act, search=Shelf())) == expected
    )
    with blocking(asynchronous) as player:
        assert outcomes_of(player) == expected


def test_a_function_of_messages_gets_them_in_openais_shape():
    seen = []

    def parrot(messages):
        seen.append(messages)
        return messages[-1]["content"]

    async def shy(messages):
        return parrot(messages)

    assert as_agent(parrot).act(VIEW) == "nothing"
    assert asyncio.run(as_agent(shy).act(VIEW)) == "nothing"
    assert [message["role"] for message in seen[0]] == ["user", "assistant", "user"]
    assert seen[0] == seen[1]


def test_objects_with_call_are_functions_and_agents_stay_what_they_are():
    class Callable:
        async def __call__(self, view):
            return view.seat

    agent = as_agent(Callable())
    assert is_async_agent(agent)
    assert asyncio.run(agent.act(VIEW)) == "solver_0"
    script = Script("hm")
    assert as_agent(script) is script
    assert act_all(as_agent(lambda view: Reply(view.seat)), [VIEW]) == [Reply("solver_0")]


def test_a_function_of_two_roles_stays_one_agent():
    def parrot(view):
        return "hm"

    from ssp_env.play import Services

    services = Services(proposer=parrot, solver=parrot, reader=parrot, search=Shelf())
    assert services.proposer is services.solver is services.reader


@pytest.mark.parametrize("wrong", ["gpt", 7, None])
def test_what_cannot_play_is_refused_with_its_role(wrong):
    with pytest.raises(TypeError, match="solver must be an agent with act"):
        as_agent(wrong, "solver")


def test_a_class_is_refused():
    with pytest.raises(TypeError, match="solver must be an object, got the class Script"):
        play(make_games(), proposer=Script("hm"), solver=Script, search=Shelf())


def test_runnables_of_langchain_play():
    pytest.importorskip("langchain_core")
    from langchain_core.messages import AIMessage
    from langchain_core.runnables import RunnableLambda

    call = {"name": "search", "args": {"query": "x"}, "id": "c1"}
    speaker = as_agent(RunnableLambda(lambda messages: AIMessage(messages[0]["content"], tool_calls=[call])))
    assert speaker.act(VIEW) == Reply("Who?", tool_calls=(ToolCall("c1", "search", '{"query": "x"}'),))
    assert as_agent(RunnableLambda(lambda messages: "hm")).act(VIEW) == "hm"


def test_what_invoke_returns_must_be_text_or_a_message():
    class Numbers:
        def invoke(self, messages):
            return 7

    with pytest.raises(ReplyError, match="must return text or a message with text, got int"):
        as_agent(Numbers()).act(VIEW)


def test_the_gymnasium_environments_take_functions_and_blocking_agents():
    def solve(messages):
        return answer("nobody")

    async def shy(view):
        return answer("nobody")

    env = ProposerEnv(solver=solve)
    env.reset(seed=0)
    with blocking(shy) as player:
        env = ProposerEnv(solver=player)
        env.reset(seed=0)
        for _ in range(3):
            *_, terminated, truncated, _ = env.step(search("x"))
            if terminated or truncated:
                break
    with pytest.raises(TypeError, match=r"proposer is asynchronous: put ssp_env\.play\.blocking around it"):
        SolverEnv(proposer=shy)


def test_blocking_wants_an_asynchronous_agent():
    with (
        pytest.raises(TypeError, match="expected an asynchronous agent, got a blocking one"),
        blocking(Script()),
    ):
        pass


def test_blocking_batches_stay_batches_and_a_failed_turn_ends_one_game():
    class Batch:
        async def act_batch(self, views):
            return [view.seat for view in views]

    with blocking(Batch()) as agent:
        assert agent.act_batch([VIEW, VIEW]) == ["solver_0", "solver_0"]

    async def fails_once(view):
        if view.game_id == "g1":
            raise OSError("gone")
        return Wanderer().act(view)

    with blocking(fails_once) as player:
        assert [outcome.reason == "error" for outcome in outcomes_of(player)] == [False, True, False, False]

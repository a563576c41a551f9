"""Language models as judges: strict, cached, batched, and unknown whenever something goes wrong."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.chat_endpoint import ChatClient, ChatEndpointAgent
from agents.judges import JUDGE_PROMPTS, AsyncLLMJudge, JudgeQuestions, LLMJudge, VerdictCache, judge_by_name
from agents.player_names import MadePlayer, PlayerOptions
from agents.sampling_params import SamplingParams
from agents.transformers_agent import TransformersAgent
from ssp_env.game import PROTOCOLS, Judge, Message, View
from ssp_env.play import play, play_async
from ssp_env.testing import ConformanceError, check_judge
from tests.agents.chat_server import chat_server, completion
from tests.agents.chatty import babbler, build_tokenizer
from tests.agents.judging import AsyncReader, BatchReader, Reader, ask, asked_of
from tests.game.doubles import Shelf
from tests.play.players import Wanderer, make_games

QUESTIONS = JudgeQuestions("exact match at T=0")


def with_asyncio(agent, **options):
    """An asynchronous judge, called like another one."""
    judge = AsyncLLMJudge(agent, QUESTIONS, **options)
    return lambda asked: asyncio.run(judge(asked)), judge


# -- the contract ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prompts", sorted(JUDGE_PROMPTS))
@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_a_judge_keeps_the_contract_whatever_the_prompts(prompts, protocol):
    check_judge(LLMJudge(Reader(), JudgeQuestions("exact", prompts=prompts, protocol=protocol)))


@pytest.mark.parametrize(
    "agent", [BatchReader(), Reader("{}"), Reader("<think> hm </think> <answer>{}</answer>")]
)
def test_batches_bare_verdicts_and_reasoning_before_a_verdict_are_all_right(agent):
    check_judge(LLMJudge(agent, QUESTIONS))


def test_an_asynchronous_judge_keeps_the_contract():
    check_judge(AsyncLLMJudge(AsyncReader(), QUESTIONS))


def test_the_contract_is_not_kept_by_an_agent_that_agrees_with_everybody():
    with pytest.raises(ConformanceError, match="other answer"):
        check_judge(LLMJudge(Reader("<answer> Correct </answer>"), QUESTIONS))


# -- what is no verdict ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    ["", "Incorrect? Correct!", "It is Correct", "<answer> yes </answer>", "<think> Correct </think>"],
)
def test_what_is_no_verdict_is_asked_for_once_more(reply):
    agent = Reader(reply, "<answer> {} </answer>")
    judge = LLMJudge(agent, QUESTIONS)
    assert judge(ask("the Tavor")) is True
    first, second = agent.views
    assert second.messages[: len(first.messages)] == first.messages
    assert second.messages[-1].content.startswith("That is no verdict. Write <answer> Correct </answer> or")
    assert first.conversation_id != second.conversation_id
    assert (judge.counts.calls, judge.counts.no_verdict) == (2, 1)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_after_two_replies_that_are_no_verdict_it_is_unknown(asynchronous):
    agent = (AsyncReader if asynchronous else Reader)("It depends")
    judge, counted = with_asyncio(agent) if asynchronous else (LLMJudge(agent, QUESTIONS),) * 2
    assert judge(ask("Sarn")) is None
    assert (counted.counts.calls, counted.counts.no_verdict, len(counted.cache)) == (2, 2, 0)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_agent_that_raises_makes_it_unknown_once(asynchronous, caplog):
    agent = (AsyncReader if asynchronous else Reader)(ConnectionError("died"), "<answer> {} </answer>")
    judge, counted = with_asyncio(agent) if asynchronous else (LLMJudge(agent, QUESTIONS),) * 2
    assert judge(ask("Sarn")) is None
    assert (counted.counts.calls, counted.counts.failed) == (1, 1)
    assert "ConnectionError: died" in caplog.text
    assert judge(ask("Sarn")) is False


def test_of_many_answers_only_the_one_whose_reply_failed_is_unknown():
    agent = Reader("<answer> {} </answer>", ConnectionError("died"), "<answer> {} </answer>")
    assert LLMJudge(agent, QUESTIONS).judge_batch([ask("Tavor"), ask("Sarn"), ask("Belin")]) == [
        True,
        None,
        False,
    ]


def test_a_batch_that_fails_is_unknown_as_a_whole():
    judge = LLMJudge(BatchReader(ConnectionError("died")), QUESTIONS)
    assert judge.judge_batch([ask("Tavor"), ask("Sarn")]) == [None, None]
    assert judge.counts.failed == 2


# -- asked once --------------------------------------------------------------------------------------------


def test_many_answers_are_one_batch_and_each_is_asked_for_once():
    agent = BatchReader("hm", "<answer> {} </answer>")
    judge = LLMJudge(agent, QUESTIONS)
    answers = [ask("Tavor"), ask("Sarn"), ask("Tavor", seat="solver_1"), ask("Belin")]
    assert judge.judge_batch(answers) == [True, False, True, False]
    assert judge.judge_batch(answers) == [True, False, True, False]
    # The first reply was none, so that one answer was asked for again.
    assert agent.sizes == [3, 1]
    assert (judge.counts.verdicts, judge.counts.calls) == (8, 4)


@pytest.mark.parametrize("other", [ask("Sarn", question="Who?"), ask("Sarn", golds=("Sarn",)), ask("sarn")])
def test_a_verdict_is_kept_for_this_question_answer_and_golds_alone(other):
    agent = Reader()
    judge = LLMJudge(agent, QUESTIONS)
    judge(ask("Sarn"))
    judge(other)
    assert len(agent.views) == 2


def test_judges_of_other_names_prompts_or_limits_share_a_cache_and_no_verdicts():
    cache, agent = VerdictCache(), Reader()
    for questions in (
        JudgeQuestions("one"),
        JudgeQuestions("two"),
        JudgeQuestions("one", prompts="few_shot"),
        JudgeQuestions("one", max_quoted_chars=50),
        JudgeQuestions("one"),
    ):
        assert LLMJudge(agent, questions, cache=cache)(ask("Sarn")) is False
    assert len(agent.views) == len(cache) == 4


def test_the_verdict_least_recently_used_goes_first():
    judge = LLMJudge(agent := Reader(), QUESTIONS, cache=VerdictCache(2))
    for candidate in ("a", "b", "a", "c", "a", "b"):
        judge(ask(candidate))
    assert [asked_of(view)[0] for view in agent.views] == ["a", "b", "c", "b"]
    with pytest.raises(ValueError, match="size must be 0 or more, got -1"):
        VerdictCache(-1)


def test_threads_that_ask_the_same_at_a_time_make_one_call():
    judge, start = LLMJudge(agent := Reader(), QUESTIONS), Barrier(8)

    def asking():
        start.wait(timeout=30)
        return judge(ask("Sarn"))

    with ThreadPoolExecutor(8) as pool:
        assert [future.result() for future in [pool.submit(asking) for _ in range(8)]] == [False] * 8
    assert len(agent.views) == 1


class Slow(AsyncReader):
    """Replies when it is let."""

    def __init__(self):
        super().__init__()
        self.go = asyncio.Event()

    async def act(self, view):
        await self.go.wait()
        return await super().act(view)


def test_coroutines_that_ask_the_same_at_a_time_make_one_call_and_others_do_not_wait():
    async def scenario():
        judge = AsyncLLMJudge(agent := Slow(), QUESTIONS)
        asked = [asyncio.create_task(judge(ask(candidate))) for candidate in ("Sarn", "Sarn", "Tavor")]
        await asyncio.sleep(0)
        agent.go.set()
        return await asyncio.gather(*asked), len(agent.views)

    assert asyncio.run(scenario()) == ([False, False, True], 2)


def test_who_gives_up_takes_the_verdict_from_nobody():
    async def scenario():
        judge = AsyncLLMJudge(agent := Slow(), QUESTIONS)
        first, second = (asyncio.create_task(judge(ask("Sarn"))) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        agent.go.set()
        return await second, first.cancelled(), len(agent.views)

    assert asyncio.run(scenario()) == (False, True, 1)


# -- in games ----------------------------------------------------------------------------------------------


def games():
    return make_games(20, attempts=2, judge=True)


def players():
    return {"proposer": Wanderer(), "solver": Wanderer(), "reader": Wanderer(), "search": Shelf()}


def test_games_are_judged_in_batches_and_asked_about_what_does_not_match_exactly():
    agent = BatchReader()
    outcomes = play(games(), **players(), judge=LLMJudge(agent, QUESTIONS))
    assert outcomes == play(games(), **players(), judge=lambda asked: False)
    assert {asked_of(view)[0] for view in agent.views} == {"Sarn"}
    # One conversation for all that ask the same, although many games do.
    assert agent.sizes == [1]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_both_drivers_give_the_same_games(asynchronous):
    judge = AsyncLLMJudge(AsyncReader(), QUESTIONS) if asynchronous else LLMJudge(BatchReader(), QUESTIONS)
    outcomes = asyncio.run(play_async(games(), **players(), judge=judge))
    assert outcomes == play(games(), **players(), judge=lambda asked: False)


def test_a_game_whose_judge_cannot_tell_is_neither_won_nor_lost():
    outcomes = play(games(), **players(), judge=LLMJudge(BatchReader("hm"), QUESTIONS))
    reference = play(games(), **players(), judge=lambda asked: None)
    assert outcomes == reference
    broken = [outcome for outcome in outcomes if outcome.verdict == "error"]
    assert broken and not any(reward for outcome in broken for reward in outcome.rewards.values())


def test_a_batch_of_the_wrong_size_breaks_the_games_it_was_for():
    class Short(LLMJudge):
        def judge_batch(self, asked):
            return [True]

    outcomes = play(games(), **players(), judge=Short(Reader(), QUESTIONS))
    details = {outcome.reason for outcome in outcomes}
    assert "error" in details


# -- what the judge reads ----------------------------------------------------------------------------------


def test_an_overlong_answer_keeps_both_its_ends():
    view = JudgeQuestions("j", max_quoted_chars=50).view(ask("Tavor " + "word " * 500 + "or Sarn"))
    candidate, _ = asked_of(view)
    assert candidate.startswith("Tavor word") and candidate.endswith("word or Sarn")
    assert "[...]" in candidate and len(candidate) <= 50


@pytest.mark.parametrize("prompts", sorted(JUDGE_PROMPTS))
@given(candidate=st.text())
def test_no_answer_can_say_anything_outside_its_quotation(prompts, candidate):
    questions = JudgeQuestions("j", prompts=prompts)
    *others, asked = questions.view(ask(candidate)).messages
    *expected, plain = questions.view(ask("x")).messages
    assert others == expected
    assert asked.content.count("\n") == plain.content.count("\n")
    before, _, after = plain.content.rpartition('"x"')
    assert asked.content.startswith(before) and asked.content.endswith(after)
    quotation = asked.content[len(before) : len(asked.content) - len(after)]
    assert asked_of(questions.view(ask(candidate)))[0] is not None
    assert "<answer>" not in quotation and "<|" not in quotation


def test_a_retry_repeats_no_more_of_a_reply_than_the_limit():
    agent = Reader("x" * 10_000, "<answer> {} </answer>")
    assert LLMJudge(agent, JudgeQuestions("j", max_quoted_chars=50))(ask("Sarn")) is False
    assert len(agent.views[1].messages[-2].content) == 50


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": " "}, "needs a name"),
        (
            {"name": "j", "prompts": "terse"},
            "prompts of a judge must be one of english, few_shot, got 'terse'",
        ),
        ({"name": "j", "protocol": "morse"}, "protocol of a judge must be one of"),
        ({"name": "j", "max_quoted_chars": 19}, "max_quoted_chars must be at least 20, got 19"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        JudgeQuestions(**options)


# -- back ends ---------------------------------------------------------------------------------------------


def test_functions_of_messages_or_views_judge():
    def of_messages(messages):
        assert messages[0]["role"] == "system"
        return "<answer> Wrong </answer>"

    assert LLMJudge(of_messages, QUESTIONS)(ask("Sarn")) is False
    assert LLMJudge(lambda view: Reader().act(view), QUESTIONS)(ask("the Tavor")) is True


def test_agents_of_the_other_kind_are_refused_with_the_judge_to_use():
    with pytest.raises(TypeError, match="AsyncReader plays with coroutine functions: use AsyncLLMJudge"):
        LLMJudge(AsyncReader(), QUESTIONS)
    with pytest.raises(TypeError, match="BatchReader plays with ordinary methods: use LLMJudge"):
        AsyncLLMJudge(BatchReader(), QUESTIONS)
    with pytest.raises(TypeError, match="a judge's agent must be"):
        LLMJudge(42, QUESTIONS)


def test_a_chat_endpoint_judges():
    def judge_of(request):
        asked = View("", "judge", "verify", tuple(Message(**one) for one in request["messages"]), 1, 0)
        # As endpoints do, up to the stop string.
        return completion(Reader().act(asked).partition("</answer>")[0])

    with chat_server(judge_of) as (address, requests):
        agent = ChatEndpointAgent("small", ChatClient(address), sampling=SamplingParams(temperature=0))
        check_judge(AsyncLLMJudge(agent, QUESTIONS))
    assert {request.json()["temperature"] for request in requests} == {0}


def test_a_chat_endpoint_that_is_down_makes_verdicts_unknown():
    with chat_server(completion("x")) as (address, _):
        pass
    judge, counted = with_asyncio(ChatEndpointAgent("small", ChatClient(address, max_retries=0)))
    assert judge(ask("Sarn")) is None
    assert counted.counts.failed == 1


def test_a_language_model_of_transformers_that_babbles_knows_nothing():
    sampling = SamplingParams(temperature=0, max_new_tokens=8)
    agent = TransformersAgent(babbler(), build_tokenizer(), sampling=sampling)
    judge = LLMJudge(agent, JudgeQuestions("random weights", prompts="few_shot"))
    assert judge.judge_batch([ask("Sarn"), ask("Tavor")]) == [None, None]
    assert (judge.counts.calls, judge.counts.no_verdict) == (4, 4)
    check_judge(judge, knows_same_text=False)


def test_a_judge_is_made_by_name(tmp_path, monkeypatch):
    (tmp_path / "named_judges.py").write_text(
        "class Strict:\n    def __call__(self, asked):\n        return False\n\n"
        "class Reader:\n    def act(self, view):\n        return '<answer> Correct </answer>'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    strict = judge_by_name("named_judges:Strict", PlayerOptions())
    assert strict(Judge("j", "Who?", "Tavor", ("Sarn",))) is False
    with pytest.raises(ValueError, match="judge 'named_judges:Reader': judge must be a function"):
        judge_by_name("named_judges:Reader", PlayerOptions())
    with pytest.raises(ValueError, match=r"^judge must be one of"):
        judge_by_name("nobody", PlayerOptions())
    with pytest.raises(ValueError, match=r"^--judge must be one of"):
        judge_by_name("nobody", PlayerOptions(labels={"judge": "--judge"}))


def test_a_language_model_judges_greedily(monkeypatch):
    asked = []

    class Model:
        def act(self, view):
            asked.append(view.messages[-1].content)
            return "<answer> Correct </answer>"

    def by_name(role, name, options):
        assert (role, name, options.sampling.temperature) == ("judge", "chat:m", 0.0)
        return MadePlayer(Model(), "english")

    monkeypatch.setattr("agents.judges.player_by_name", by_name)
    judge = judge_by_name("chat:m", PlayerOptions())
    assert judge(Judge("j", "Who was mayor?", "Mr Tavor", ("Tavor",))) is True
    assert judge.questions.name == "chat:m at T=0" and "Who was mayor?" in asked[0]

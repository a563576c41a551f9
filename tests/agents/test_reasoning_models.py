"""Reasoning models whose chat template writes `<think>`: no turn ends in the thought or is read out of it."""

import pytest

from agents.chat_endpoint import ChatClient, ChatEndpointAgent
from agents.conversation_tokens import ConversationTokens
from agents.judges import JudgeQuestions
from agents.sampling_params import SamplingParams
from agents.vllm.turn import Completion, SampledTurn, end_ids_of, stop_texts
from ssp_env.game import PROTOCOLS, Game, Message, Task
from tests.agents.chat_server import KEY, chat_server, completion
from tests.agents.chatty import CHATML, QUESTION, TOOL_CHATML, build_tokenizer, dictate, spell, view_of
from tests.agents.test_chat_endpoint import acted

OPENED = "<|start|>assistant\n<think>\n"
THINKING = CHATML.replace("<|start|>assistant\n{% endif", f"{OPENED}{{% endif")
TOOL_THINKING = TOOL_CHATML.replace("<|start|>assistant\n{% endif", f"{OPENED}{{% endif")
# The template of a model that was told not to think.
CLOSED = CHATML.replace("<|start|>assistant\n{% endif", f"{OPENED}\n</think>\n\n{{% endif")
THOUGHT = "Maybe <answer> Sarn </answer>, or <search> Corun </search>?\n"
ANSWERED = f"{THOUGHT}</think>\n\n<answer> Tavor </answer>"
CALL = '<tool_call>\n{"name": "search", "arguments": {"query": "Corun"}}\n</tool_call>'


def thinker(template=THINKING, **options):
    return ConversationTokens(build_tokenizer(template), **({"max_prompt_tokens": 4096} | options))


def test_an_answer_in_the_thought_is_not_scored():
    game = Game(Task("Tavor", question="Who was mayor of Corun?"))
    game.submit("solver_0/turn/0", ANSWERED)
    assert game.outcome.reason == "solved"


@pytest.mark.parametrize("phase", ["solve", "verify"])
def test_a_turn_goes_on_to_the_first_action_after_the_thought(phase):
    talk = thinker()
    prompt, reply = dictate(talk, view_of(QUESTION, phase=phase), f"{ANSWERED} and more")
    assert talk.tokenizer.decode(prompt.token_ids).endswith(OPENED)
    assert reply.text == ANSWERED
    assert talk.tokenizer.decode(list(reply.token_ids)) == ANSWERED


def test_a_thought_that_was_cut_off_is_closed_in_the_text_and_holds_no_action():
    talk = thinker()
    _, reply = dictate(talk, view_of(QUESTION), THOUGHT)
    assert reply.text == f"{THOUGHT}</think>"
    assert talk.tokenizer.decode(list(reply.token_ids)) == THOUGHT
    assert talk.protocol.parse(reply, "answer").code == "no_action"


def test_a_thought_may_write_an_opening_tag():
    talk = thinker()
    said = "First <answer> Sarn </answer>. I <think> again.</think> <answer> Tavor </answer>"
    _, reply = dictate(talk, view_of(QUESTION), said)
    assert talk.protocol.parse(reply, "answer").content == "Tavor"
    assert talk.tokenizer.decode(list(reply.token_ids)) == said


def test_every_turn_of_a_conversation_begins_in_a_thought():
    talk = thinker()
    first, said = dictate(talk, view_of(QUESTION), "Hm.</think><search> Corun </search>")
    told = Message("tool", "<information> A town. </information>")
    second, reply = dictate(talk, view_of(QUESTION, Message("assistant", said.text), told), ANSWERED)
    assert second.token_ids[: len(first.token_ids)] == first.token_ids
    assert second.context_ids is not None
    assert (reply.text, bool(reply.token_ids)) == (ANSWERED, True)


@pytest.mark.parametrize("template", [CHATML, CLOSED], ids=["no thought", "an empty thought"])
def test_templates_that_open_no_thought_change_nothing(template):
    _, reply = dictate(thinker(template), view_of(QUESTION), THOUGHT)
    assert reply.text == "Maybe <answer> Sarn </answer>"


def test_an_example_in_the_prompt_opens_no_thought():
    asked = Message("user", "Write <think> your reasoning </think> first, or begin with <think>")
    _, reply = dictate(thinker(CHATML), view_of(asked), THOUGHT)
    assert reply.text == "Maybe <answer> Sarn </answer>"


def test_a_native_call_in_the_thought_is_none():
    talk = thinker(TOOL_THINKING, protocol=PROTOCOLS["openai"])
    _, reply = dictate(talk, view_of(QUESTION), f"Perhaps {CALL}? </think> {CALL} and")
    assert reply.text == f"Perhaps {CALL}? </think>"
    assert [call.arguments for call in reply.tool_calls] == ['{"query": "Corun"}']
    assert talk.tokenizer.decode(list(reply.token_ids)).endswith(f"</think> {CALL}")


def test_vllm_is_asked_to_go_on_until_the_action_after_the_thought():
    talk, view = thinker(), view_of(QUESTION)
    prompt = talk.prompt(view)
    turn = SampledTurn(
        view, prompt.token_ids, SamplingParams(max_new_tokens=999),
        stop=stop_texts(talk.protocol, view), end_ids=end_ids_of(talk.tokenizer),
        is_finished=lambda ids: talk.is_finished(view, ids),
    )  # fmt: skip
    left = ANSWERED
    while not turn.done:
        ends = [place + len(stop) for stop in turn.request()["stop"] if (place := left.find(stop)) >= 0]
        piece, left = left[: min(ends)], left[min(ends) :]
        turn.add(Completion(tuple(spell(talk.tokenizer, piece)), ()))
    assert talk.reply(view, prompt, turn.token_ids, ()).text == ANSWERED


# -- chat endpoints --------------------------------------------------------------------------------------


@pytest.fixture
def _key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.mark.usefixtures("_key")
@pytest.mark.parametrize(
    ("said", "reason", "content"), [(ANSWERED, "stop", "Tavor"), (THOUGHT, "length", "")]
)
def test_an_endpoint_whose_text_begins_in_a_thought_gets_no_stop_strings(said, reason, content):
    with chat_server(completion(said, reason)) as (url, asked):
        agent = ChatEndpointAgent("r1", ChatClient(url), begins_in_thought=True)
        (reply,) = acted(agent, view_of(QUESTION))
    assert "stop" not in asked[0].json()
    assert agent.protocol.parse(reply, "answer").content == content


@pytest.mark.usefixtures("_key")
@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_beside_the_text_that_a_stop_string_ended_is_asked_for_again_without(field):
    cut = completion(None, message={field: "Maybe <answer> Sarn"})
    whole = completion("<answer> Tavor </answer>", message={field: THOUGHT})
    with chat_server(cut, whole) as (url, asked):
        agent = ChatEndpointAgent("r1", ChatClient(url))
        replies = acted(agent, view_of(QUESTION), view_of(QUESTION, game_id="other"))
    assert [reply.text for reply in replies] == ["<answer> Tavor </answer>"] * 2
    assert ["stop" in request.json() for request in asked] == [True, False, False]
    assert agent.client.ledger.usage["solver", "r1"].requests == 3


@pytest.mark.usefixtures("_key")
def test_reasoning_beside_the_text_that_ended_by_itself_is_asked_for_once():
    with chat_server(completion("", message={"reasoning_content": "hm"}, stop_reason=None)) as (url, asked):
        acted(ChatEndpointAgent("r1", ChatClient(url)), view_of(QUESTION))
    assert len(asked) == 1


def test_a_judge_may_think_first():
    questions = JudgeQuestions("r1")
    assert questions.verdict("Is it Correct?\n</think>\n\nWrong") is False
    assert questions.verdict("It is <answer> Correct </answer>? </think> <answer> Wrong </answer>") is False
    assert questions.verdict("Correct </think>") is None

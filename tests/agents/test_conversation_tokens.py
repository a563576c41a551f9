from dataclasses import replace

import pytest

from agents.conversation_tokens import ContextOverflow, ConversationTokens
from ssp_env.game import PROTOCOLS, Message, ToolCall
from tests.agents.chatty import CHATML, QUESTION, TOOL_CHATML, build_tokenizer, dictate, spell, view_of

SEARCH = "I look. <search> blue whale </search>"
ANSWER = "<answer> krill </answer>"
TOKENIZER = build_tokenizer()
TOOL_TOKENIZER = build_tokenizer(TOOL_CHATML)
CALL = 'I look. <tool_call>\n{"name": "search", "arguments": {"query":  "blue whale"}}\n</tool_call>'


def conversations(tokenizer=TOKENIZER, **options):
    return ConversationTokens(tokenizer, **({"max_prompt_tokens": 4096} | options))


def said(text, *calls):
    return Message("assistant", text, calls)


def told(text, call_id=""):
    return Message("tool", text, tool_call_id=call_id)


# -- where a turn ends ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phase", "text", "kept"),
    [
        ("solve", "Hm. <search> a </search> and", "Hm. <search> a </search>"),
        ("solve", "<answer> a </answer>\n", "<answer> a </answer>"),
        ("solve", "<question> a </question> x", "<question> a </question> x"),
        (
            "propose",
            "<answer> a </answer> <question> b </question>.",
            "<answer> a </answer> <question> b </question>",
        ),
        ("verify", "<search> a </search> <answer> b </answer>!", "<search> a </search> <answer> b </answer>"),
        ("solve", "</search> <search> a </search>.", "</search> <search> a </search>"),
        ("solve", "<search> </search> more", "<search> </search>"),
        ("solve", "<think> <search> a </search> </think>", "<think> <search> a </search>"),
        ("solve", "a > b", "a > b"),
    ],
)
def test_a_turn_ends_with_the_first_complete_action(phase, text, kept):
    _, reply = dictate(conversations(), view_of(QUESTION, phase=phase), text)
    assert reply.text == kept
    assert TOKENIZER.decode(list(reply.token_ids)) == kept
    assert len(reply.logprobs) == len(reply.token_ids)


@pytest.mark.parametrize("end", ["<|end|>", "<|start|>"])
def test_a_turn_ends_with_any_of_the_ids_that_end_turns(end):
    id_ = TOKENIZER.convert_tokens_to_ids(end)
    talk = conversations(end_ids=TOKENIZER.convert_tokens_to_ids(["<|end|>", "<|start|>"]))
    _, reply = dictate(talk, view_of(QUESTION), [*spell(TOKENIZER, "No."), id_, *spell(TOKENIZER, ANSWER)])
    assert reply.text == "No."
    assert reply.token_ids[-1] == id_


def test_a_call_that_is_no_json_ends_the_turn_too():
    hermes = conversations(protocol=PROTOCOLS["hermes"])
    _, reply = dictate(hermes, view_of(QUESTION), "<tool_call> what? </tool_call> and on")
    assert reply.text == "<tool_call> what? </tool_call>"


def test_a_conversation_is_over_with_its_final_action_or_its_last_turn():
    talk = conversations()
    ids = {text: spell(TOKENIZER, text) for text in (SEARCH, ANSWER)}
    assert talk.is_last(view_of(QUESTION), ids[ANSWER])
    assert not talk.is_last(view_of(QUESTION), ids[SEARCH])
    assert talk.is_last(view_of(QUESTION, turns_left=1), ids[SEARCH])


# -- what the model reads ------------------------------------------------------------------------------


def test_the_chat_template_renders_results_as_user_messages():
    asked = view_of(QUESTION, said(SEARCH), told("<information> krill </information>"))
    prompt = conversations().prompt(asked)
    assert TOKENIZER.decode(prompt.token_ids) == (
        f"<|start|>user\n{QUESTION.content}<|end|>\n<|start|>assistant\n{SEARCH}<|end|>\n"
        "<|start|>user\n<information> krill </information><|end|>\n<|start|>assistant\n"
    )


def test_plain_rendering_puts_messages_on_lines():
    asked = view_of(QUESTION, said(SEARCH), told("<information> krill </information>"))
    prompt = conversations(rendering="plain").prompt(asked)
    assert TOKENIZER.decode(prompt.token_ids) == (
        f"{QUESTION.content}\n{SEARCH}\n<information> krill </information>\n"
    )


@pytest.mark.parametrize("rendering", ["chat", "plain"])
@pytest.mark.parametrize("ends", [False, True], ids=["stopped at the tag", "ended by itself"])
def test_what_was_sampled_is_read_again_as_the_same_tokens(rendering, ends):
    end = [TOKENIZER.eos_token_id] if ends else []
    first = [*spell(TOKENIZER, "I look for blue whales, no tag." if ends else SEARCH), *end]
    talk = conversations(rendering=rendering)
    messages, read, opening = [QUESTION], [], 0
    for turn, words in enumerate([first, SEARCH, ANSWER]):
        prompt, reply = dictate(talk, view_of(*messages), words)
        read += reply.context_ids
        assert tuple(read) == prompt.token_ids
        if turn == 1:
            # The tokenizer would have written `bl` of `blue` as one token.
            assert list(prompt.token_ids[opening:][: len(first)]) == first
        opening = len(prompt.token_ids)
        asked = view_of(*messages, game_id="other")
        read += reply.token_ids
        messages += [said(reply.text), told(f"<information> page {turn} </information>")]
    # The end of a turn is there once, and the words are those that the template renders in one go.
    assert TOKENIZER.decode(read).count("<|end|><|end|>") == 0
    if rendering == "chat":
        assert TOKENIZER.decode(conversations().prompt(asked).token_ids) == TOKENIZER.decode(prompt.token_ids)


@pytest.mark.parametrize(
    "template",
    [
        CHATML.replace("message['content']", "message['content'] | trim"),
        CHATML.replace("message['content']", "message['content'].split('</think>')[-1]"),
    ],
    ids=["trims", "drops thoughts"],
)
def test_a_template_cannot_rewrite_what_was_sampled(template):
    talk = conversations(build_tokenizer(template))
    thought = f"  <think> hm </think> {SEARCH}"
    first, reply = dictate(talk, view_of(QUESTION), thought)
    asked = view_of(QUESTION, said(reply.text), told("page"))
    second = talk.prompt(asked)
    assert second.token_ids == (*first.token_ids, *reply.token_ids, *second.context_ids)
    assert TOKENIZER.decode(second.context_ids) == (
        "<|end|>\n<|start|>user\npage<|end|>\n<|start|>assistant\n"
    )


def test_conversations_do_not_mix():
    talk = conversations()
    views = [view_of(QUESTION, seat=f"solver_{number}") for number in range(2)]
    replies = [dictate(talk, view, f"<search> {view.seat} </search>")[1] for view in views]
    for view, reply in zip(views, replies, strict=True):
        longer = replace(view, messages=(QUESTION, said(reply.text), told(reply.text)))
        text = TOKENIZER.decode(talk.prompt(longer).token_ids)
        assert text.count(view.seat) == 2 and text.count("solver_") == 2


def test_a_new_game_under_an_old_name_starts_afresh():
    talk = conversations()
    first, _ = dictate(talk, view_of(QUESTION), SEARCH)
    assert talk.prompt(view_of(QUESTION)) == first
    assert first.context_ids == first.token_ids


def test_other_words_than_those_that_were_said_give_text_alone_from_then_on():
    talk = conversations()
    dictate(talk, view_of(QUESTION), SEARCH)
    changed = view_of(QUESTION, said("rewritten"), told("krill"))
    prompt, reply = dictate(talk, changed, SEARCH)
    assert (reply.text, reply.token_ids, reply.context_ids) == (SEARCH, (), ())
    assert "rewritten" in TOKENIZER.decode(prompt.token_ids)
    longer = view_of(*changed.messages, said(SEARCH), told("krill"))
    prompt, reply = dictate(talk, longer, ANSWER)
    assert (reply.token_ids, prompt.context_ids) == ((), None)


def test_after_forgetting_a_conversation_is_read_as_text():
    talk = conversations()
    dictate(talk, view_of(QUESTION), SEARCH)
    talk.forget()
    prompt = talk.prompt(view_of(QUESTION, said(SEARCH), told("page")))
    assert prompt.context_ids == prompt.token_ids


# -- prompts that do not fit ---------------------------------------------------------------------------


def test_a_prompt_that_does_not_fit_loses_its_middle_and_is_counted():
    talk = conversations(rendering="plain", max_prompt_tokens=61)
    fits, long = Message("user", "k" * 60), Message("user", "start" + "k" * 500 + "end?")
    assert talk.prompt(view_of(fits)).context_ids is not None
    assert talk.cut_prompts == 0
    prompt, reply = dictate(talk, view_of(long), ANSWER)
    assert talk.cut_prompts == 1
    text = TOKENIZER.decode(prompt.token_ids)
    assert len(prompt.token_ids) == 61
    assert text.startswith("start")
    assert text.endswith("end?\n")
    assert (reply.text, reply.token_ids) == (ANSWER, ())


@pytest.mark.parametrize("examples", [0, 500])
def test_long_results_never_push_the_question_out_of_the_prompt(examples):
    talk = conversations(rendering="plain", max_prompt_tokens=120)
    opening = Message("user", "start" + "k" * examples + "Who is it?")
    dictate(talk, view_of(opening), SEARCH)
    result = told("old" + "k" * 300 + "new")
    prompt, _ = dictate(talk, view_of(opening, said(SEARCH), result), SEARCH)
    text = TOKENIZER.decode(prompt.token_ids)
    assert len(prompt.token_ids) == 120
    assert text.startswith("start") and "Who is it?" in text and text.endswith("new\n")
    # The next turn is cut from the whole conversation, not from what was left of it.
    again = talk.prompt(view_of(opening, said(SEARCH), result, said(SEARCH), told("newest")))
    text = TOKENIZER.decode(again.token_ids)
    assert "Who is it?" in text and text.endswith("newest\n") and f"new\n{SEARCH}" in text


def test_a_prompt_that_does_not_fit_is_an_error_if_you_say_so():
    talk = conversations(rendering="plain", max_prompt_tokens=60, on_overflow="error")
    complaint = "the prompt of solver_0 in game 'g' has 61 tokens, the context window has room for 60"
    with pytest.raises(ContextOverflow, match=complaint):
        talk.prompt(view_of(Message("user", "k" * 60)))


# -- native tool calls ---------------------------------------------------------------------------------


def native(**options):
    return conversations(TOOL_TOKENIZER, protocol=PROTOCOLS["openai"], **options)


@pytest.mark.parametrize(("phase", "shown"), [("solve", True), ("propose", True), ("verify", False)])
def test_the_template_shows_the_tool_to_who_has_it(phase, shown):
    text = TOOL_TOKENIZER.decode(native().prompt(view_of(QUESTION, phase=phase)).token_ids)
    assert ('"name": "search"' in text) is shown


def test_a_native_call_is_read_from_the_text_and_its_result_is_a_tool_message():
    talk = native()
    first, reply = dictate(talk, view_of(QUESTION), f"{CALL} and on")
    assert reply.text == "I look."
    assert TOOL_TOKENIZER.decode(reply.token_ids) == CALL
    (call,) = reply.tool_calls
    assert (call.name, call.arguments) == ("search", '{"query": "blue whale"}')
    asked = view_of(QUESTION, said(reply.text, call), told("krill", call.id))
    second, reply = dictate(talk, asked, ANSWER)
    # As the model wrote it, with the space that JSON does not need.
    assert second.token_ids == (*first.token_ids, *spell(TOOL_TOKENIZER, CALL), *second.context_ids)
    assert TOOL_TOKENIZER.decode(second.context_ids) == (
        "<|end|>\n<|start|>user\n<tool_response>\nkrill\n</tool_response><|end|>\n<|start|>assistant\n"
    )
    assert (reply.text, reply.tool_calls) == (ANSWER, ())


def test_calls_that_others_made_are_written_by_the_template():
    call = ToolCall("c", "search", '{"query": "blue whale"}')
    prompt = native().prompt(view_of(QUESTION, said("Hm.", call), told("krill", "c"), QUESTION))
    text = TOOL_TOKENIZER.decode(prompt.token_ids)
    assert 'Hm.\n<tool_call>\n{"name": "search", "arguments": {"query": "blue whale"}}\n</tool_call>' in text


# -- bad input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "options", "message"),
    [
        (None, {}, "this tokenizer has no chat template: use rendering='plain'"),
        (CHATML, {"on_overflow": "crash"}, "on_overflow must be 'cut' or 'error', got 'crash'"),
        (
            CHATML,
            {"protocol": PROTOCOLS["openai"]},
            "shows no tools, which 'openai' needs: choose the protocol 'hermes'",
        ),
        (
            TOOL_CHATML.replace("<tool_call>", "[CALL]"),
            {"protocol": PROTOCOLS["openai"]},
            "does not write tool calls as JSON in <tool_call> tags",
        ),
        (
            TOOL_CHATML,
            {"protocol": PROTOCOLS["openai"], "rendering": "plain"},
            "plain text cannot hold the native tool calls of 'openai'",
        ),
    ],
)
def test_what_a_template_cannot_do_is_said_at_once(template, options, message):
    with pytest.raises(ValueError, match=message):
        conversations(build_tokenizer(template), **options)

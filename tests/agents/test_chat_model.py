import numpy as np
import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from agents import chat_model
from agents.chat_model import ChatModel
from agents.sampling import Sample
from ssp_env.game import PROTOCOLS, Game, GameConfig, Message, Task, View
from ssp_env.passage import Passage
from ssp_env.play import play
from ssp_env.search.bm25 import BM25Engine

CHATML = (
    "{% for message in messages %}"
    "<|start|>{{ message['role'] }}\n{{ message['content'] }}<|end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
SEARCH = "I look. <search> blue whale </search>"
ANSWER = "<answer> krill </answer>"


@pytest.fixture(scope="module")
def tokenizer():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    # One merge, so that a text has more than one tokenisation.
    vocabulary = {symbol: index for index, symbol in enumerate([*alphabet, "bl"])}
    backend = Tokenizer(models.BPE(vocabulary, [("b", "l")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken("<|start|>", special=True), AddedToken("<|end|>", special=True)])
    made = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|end|>", pad_token="<|end|>")
    made.chat_template = CHATML
    return made


@pytest.fixture(scope="module")
def model(tokenizer):
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=4096,
        initializer_range=0.3,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LlamaForCausalLM(config).eval()


def spell(tokenizer, text):
    """One token per byte: never how the tokenizer itself would encode `bl`."""
    ids = [token for letter in text for token in tokenizer(letter, add_special_tokens=False)["input_ids"]]
    return ids


class Script:
    """Stands in for sampling: dictates texts, as long as the agent lets them go on."""

    def __init__(self, tokenizer, *texts):
        self.tokenizer = tokenizer
        self.texts = list(texts)
        self.prompts = []

    def __call__(self, model, prompts, *, is_finished, max_new_tokens, **_):
        samples = []
        for row, prompt in enumerate(prompts):
            self.prompts.append(list(prompt))
            text = self.texts.pop(0)
            ids = text if isinstance(text, list) else spell(self.tokenizer, text)
            sampled = Sample()
            for token in ids[:max_new_tokens]:
                sampled.token_ids.append(token)
                sampled.logprobs.append(-1.0)
                if is_finished(row, sampled.token_ids):
                    break
            samples.append(sampled)
        return samples


@pytest.fixture
def dictate(monkeypatch, tokenizer):
    def install(*texts):
        script = Script(tokenizer, *texts)
        monkeypatch.setattr(chat_model, "sample", script)
        return script

    return install


def view(*messages, phase="solve", seat="solver_0", turns_left=5, game_id="g"):
    return View(game_id, seat, phase, tuple(Message(*message) for message in messages), turns_left, 5)


QUESTION = ("user", "What do blue whales eat?")


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
def test_a_turn_ends_with_the_first_complete_action(model, tokenizer, dictate, phase, text, kept):
    dictate(text)
    (reply,) = ChatModel(model, tokenizer).act_batch([view(QUESTION, phase=phase)])
    assert reply.text == kept
    assert tokenizer.decode(list(reply.token_ids)) == kept
    assert len(reply.logprobs) == len(reply.token_ids)


def test_a_turn_ends_with_the_end_of_turn_token(model, tokenizer, dictate):
    end = tokenizer.eos_token_id
    dictate([*spell(tokenizer, "No."), end, *spell(tokenizer, ANSWER)])
    (reply,) = ChatModel(model, tokenizer).act_batch([view(QUESTION)])
    assert reply.text == "No."
    assert reply.token_ids[-1] == end


def test_native_tool_calls_are_refused_by_a_player_of_text(model, tokenizer):
    with pytest.raises(ValueError, match="cannot hold the native tool calls of 'openai'"):
        ChatModel(model, tokenizer, protocol=PROTOCOLS["openai"])


def test_the_chat_template_renders_results_as_user_messages(model, tokenizer, dictate):
    script = dictate(ANSWER)
    asked = view(QUESTION, ("assistant", SEARCH), ("tool", "<information> krill </information>"))
    ChatModel(model, tokenizer).act_batch([asked])
    assert tokenizer.decode(script.prompts[0]) == (
        f"<|start|>user\n{QUESTION[1]}<|end|>\n<|start|>assistant\n{SEARCH}<|end|>\n"
        "<|start|>user\n<information> krill </information><|end|>\n<|start|>assistant\n"
    )


def test_plain_rendering_puts_messages_on_lines(model, tokenizer, dictate):
    script = dictate(ANSWER)
    asked = view(QUESTION, ("assistant", SEARCH), ("tool", "<information> krill </information>"))
    ChatModel(model, tokenizer, rendering="plain").act_batch([asked])
    assert (
        tokenizer.decode(script.prompts[0])
        == f"{QUESTION[1]}\n{SEARCH}\n<information> krill </information>\n"
    )


@pytest.mark.parametrize("rendering", ["chat", "plain"])
@pytest.mark.parametrize("ends", [False, True], ids=["stopped at the tag", "ended by itself"])
def test_what_was_sampled_is_read_again_as_the_same_tokens(model, tokenizer, dictate, rendering, ends):
    end = [tokenizer.eos_token_id] if ends else []
    first = [*spell(tokenizer, "I look for blue whales, no tag." if ends else SEARCH), *end]
    script = dictate(first, SEARCH, ANSWER)
    agent = ChatModel(model, tokenizer, rendering=rendering)
    messages = [QUESTION]
    told = []
    for turn in range(3):
        (reply,) = agent.act_batch([view(*messages)])
        told += [*reply.context_ids]
        assert told == script.prompts[turn]
        told += [*reply.token_ids]
        messages += [("assistant", reply.text), ("tool", f"<information> page {turn} </information>")]
    # The tokenizer would have written `bl` of `blue` as one token, and the end of a turn is there once.
    assert tuple(first) == tuple(script.prompts[1][len(script.prompts[0]) :][: len(first)])
    assert tokenizer.decode(told).count("<|end|><|end|>") == 0
    if rendering == "chat":
        alone = ChatModel(model, tokenizer)
        script.texts.append(ANSWER)
        alone.act_batch([view(*messages[:5], game_id="other")])
        assert tokenizer.decode(script.prompts[-1]) == tokenizer.decode(script.prompts[2])


def test_conversations_of_a_batch_do_not_mix(model, tokenizer, dictate):
    script = dictate(SEARCH, "<search> krill </search>", ANSWER, ANSWER)
    agent = ChatModel(model, tokenizer)
    views = [view(QUESTION, seat="solver_0"), view(QUESTION, seat="solver_1")]
    replies = agent.act_batch(views)
    longer = [
        view(QUESTION, ("assistant", reply.text), ("tool", reply.text), seat=before.seat)
        for before, reply in zip(views, replies, strict=True)
    ]
    agent.act_batch(longer)
    for prompt in script.prompts[2:]:
        text = tokenizer.decode(prompt)
        assert (text.count("krill"), text.count("I look")) in ((0, 2), (2, 0))


def test_replies_come_in_the_order_of_the_views_whatever_their_length(model, tokenizer):
    views = [view(("user", "x" * size), game_id=str(size)) for size in (40, 3, 90, 3)]
    agent = ChatModel(model, tokenizer, temperature=0.0, max_new_tokens=6, batch_tokens=120)
    alone = [
        ChatModel(model, tokenizer, temperature=0.0, max_new_tokens=6).act_batch([each])[0] for each in views
    ]
    together = agent.act_batch(views)
    assert [reply.token_ids for reply in together] == [reply.token_ids for reply in alone]
    assert agent.sampled_tokens == sum(len(reply.token_ids) for reply in alone)


def test_a_new_game_under_an_old_name_starts_afresh(model, tokenizer, dictate):
    dictate(SEARCH, SEARCH, ANSWER)
    agent = ChatModel(model, tokenizer)
    agent.act_batch([view(QUESTION)])
    (again,) = agent.act_batch([view(QUESTION)])
    (fresh,) = ChatModel(model, tokenizer).act_batch([view(QUESTION)])
    assert again.context_ids == fresh.context_ids


def test_a_template_that_rewrites_the_past_gives_text_alone(model, tokenizer, dictate):
    script = dictate(SEARCH, ANSWER)
    agent = ChatModel(model, tokenizer)
    agent.act_batch([view(QUESTION)])
    (reply,) = agent.act_batch([view(QUESTION, ("assistant", "rewritten"), ("tool", "krill"))])
    assert (reply.text, reply.token_ids, reply.context_ids) == (ANSWER, (), ())
    assert "rewritten" in tokenizer.decode(script.prompts[1])


def test_a_prompt_that_does_not_fit_loses_its_middle_and_is_counted(model, tokenizer, dictate):
    script = dictate(ANSWER, ANSWER)
    agent = ChatModel(model, tokenizer, rendering="plain", context_window=101, max_new_tokens=40)
    fits, long = view(("user", "k" * 60)), view(("user", "start" + "k" * 500 + "end?"))
    agent.act_batch([fits])
    assert agent.conversations.cut_prompts == 0
    (reply,) = agent.act_batch([long])
    assert agent.conversations.cut_prompts == 1
    text = tokenizer.decode(script.prompts[1])
    assert len(script.prompts[1]) == 61
    assert text.startswith("start")
    assert text.endswith("end?\n")
    assert (reply.text, reply.token_ids) == (ANSWER, ())


def test_complete_games_with_a_model_that_knows_nothing(model, tokenizer):
    engine = BM25Engine([Passage(str(n), f"page {n}", "blue whales eat krill") for n in range(9)])
    config = GameConfig(prompts="english", min_searches=0).with_budget(max_turns=2)
    before = torch.random.get_rng_state()

    def outcomes(seed):
        games = [Game(Task("krill", id=str(n)), config) for n in range(3)]
        agent = ChatModel(model, tokenizer, max_new_tokens=12, seed=seed)
        play(games, proposer=agent, solver=agent, search=engine)
        return [[event.reply for event in game.events if hasattr(event, "reply")] for game in games]

    first = outcomes(0)
    assert first == outcomes(0) != outcomes(1)
    assert all(replies for replies in first)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens must be from 1 to 4095"),
        ({"context_window": 50, "max_new_tokens": 50}, "from 1 to 49"),
        ({"temperature": -1.0}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
    ],
)
def test_options_out_of_range_are_refused(model, tokenizer, options, message):
    with pytest.raises(ValueError, match=message):
        ChatModel(model, tokenizer, **options)


def test_a_base_model_needs_plain_rendering(model, tokenizer, monkeypatch):
    monkeypatch.setattr(tokenizer, "chat_template", None)
    with pytest.raises(ValueError, match="rendering='plain'"):
        ChatModel(model, tokenizer)
    assert np.isfinite(
        ChatModel(model, tokenizer, rendering="plain").act_batch([view(QUESTION)])[0].logprobs
    ).all()

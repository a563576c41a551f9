import asyncio
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from agents.conversation_tokens import ContextOverflow
from agents.sampling_params import SamplingParams
from agents.transformers_agent import AsyncTransformersAgent, TransformersAgent
from ssp_env.game import PROTOCOLS, Game, GameConfig, Message, Task
from ssp_env.game.events import TurnTaken
from ssp_env.game.passage import Passage
from ssp_env.play import play, play_async
from ssp_env.search.bm25 import BM25Engine
from tests.agents.chatty import (
    CHATML,
    QUESTION,
    TAGS,
    TOOL_CHATML,
    babbler,
    build_model,
    build_tokenizer,
    view_of,
)

TOKENIZER = build_tokenizer(words=TAGS)
ENGINE = BM25Engine([Passage(str(n), f"page {n}", "blue whales eat krill") for n in range(9)])


def agent_of(model=None, tokenizer=TOKENIZER, *, max_new_tokens=12, **options):
    sampling = options.pop("sampling", SamplingParams(1.0, 1.0, max_new_tokens))
    return TransformersAgent(model or babbler(), tokenizer, sampling=sampling, **options)


def games_of(count, **rules):
    config = GameConfig(**({"prompts": "english", "min_searches": 0, "attempts": 2} | rules))
    config = config.with_budget(max_turns=3, retries=3)
    # Half of the games are given their question, so that both seats have their say.
    return [
        Game(Task("krill", question="What do whales eat?" if n % 2 else "", id=str(n)), config)
        for n in range(count)
    ]


def said(games):
    return {
        game.id: [(event.seat, event.reply) for event in game.events if isinstance(event, TurnTaken)]
        for game in games
    }


def play_with(agent, games, **options):
    play(games, proposer=agent, solver=agent, search=ENGINE, on_player_error="raise", **options)
    return said(games)


def texts(replies):
    return {
        key: [(seat, reply.text, reply.token_ids) for seat, reply in each] for key, each in replies.items()
    }


# -- games -----------------------------------------------------------------------------------------------


def test_games_repeat_with_their_seed_and_leave_the_global_generator_alone():
    before = torch.random.get_rng_state()
    first, again = (play_with(agent_of(), games_of(6)) for _ in range(2))
    other = play_with(agent_of(sampling=SamplingParams(1.0, 1.0, 12, seed=1)), games_of(6))
    assert first == again != other
    assert all(replies for replies in first.values())
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_what_a_game_samples_depends_neither_on_the_other_games_nor_on_the_driver(temperature):
    sampling = SamplingParams(temperature, 0.9, 12, seed=3)
    together = texts(play_with(agent_of(sampling=sampling), games_of(6)))
    backwards = texts(play_with(agent_of(sampling=sampling), games_of(6)[::-1], concurrency=2))
    alone = {}
    for game in games_of(6):
        alone |= texts(play_with(agent_of(sampling=sampling), [game]))
    games = games_of(6)
    player = AsyncTransformersAgent(agent_of(sampling=sampling))
    asyncio.run(
        play_async(games, proposer=player, solver=player, search=ENGINE, on_player_error="raise", timeout=300)
    )
    assert together == backwards == alone == texts(said(games))


def test_games_that_come_one_by_one_share_the_batch():
    steps = []
    for concurrency in (1, 6):
        player = AsyncTransformersAgent(agent_of())
        asyncio.run(
            play_async(games_of(6), proposer=player, solver=player, search=ENGINE, concurrency=concurrency)
        )
        steps.append(player.agent.loop.steps)
    assert steps[1] < steps[0] / 2


def test_a_turn_that_is_given_up_leaves_the_others_alone():
    agent = agent_of(max_new_tokens=40)
    player = AsyncTransformersAgent(agent)

    async def impatient():
        views = [view_of(QUESTION, game_id=str(number)) for number in range(2)]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(player.act(views[0]), 0.001)
        return await player.act(views[1])

    (alone,) = agent_of(max_new_tokens=40).act_batch([view_of(QUESTION, game_id="1")])
    left = asyncio.run(impatient())
    assert (left.token_ids, left.context_ids) == (alone.token_ids, alone.context_ids)
    # Rows of another shape are summed in another order.
    assert left.logprobs == pytest.approx(alone.logprobs, abs=1e-4)


def test_sampled_tokens_are_counted():
    agent = agent_of()
    replies = agent.act_batch([view_of(QUESTION, game_id=str(number)) for number in range(3)])
    assert agent.sampled_tokens == sum(len(reply.token_ids) for reply in replies) > 0


# -- sampling by role and budgets ------------------------------------------------------------------------


def test_every_role_samples_in_its_own_way():
    by_role = {
        "proposer": SamplingParams(0.0, max_new_tokens=3),
        "solver": SamplingParams(1.0, 1.0, 5),
        "reader": SamplingParams(1.0, 1.0, 7),
    }
    views = [view_of(QUESTION, phase=phase) for phase in ("propose", "solve", "verify")]
    together = agent_of(sampling=by_role).act_batch(views)
    assert [len(reply.token_ids) for reply in together] == [3, 5, 7]
    alone = [agent_of(sampling=params).act_batch([view])[0] for params, view in zip(by_role.values(), views)]
    assert [reply.token_ids for reply in together] == [reply.token_ids for reply in alone]


def test_no_turn_is_longer_than_its_budget():
    views = [view_of(QUESTION, tokens_left=left, game_id=str(left)) for left in (None, 100, 4)]
    replies = agent_of().act_batch(views)
    assert [len(reply.token_ids) for reply in replies] == [12, 12, 4]


def test_games_stay_within_their_token_budget():
    games = [
        Game(Task("krill", id=str(n)), GameConfig(prompts="english").with_budget(max_tokens=20, retries=9))
        for n in range(4)
    ]
    for replies in play_with(agent_of(), games).values():
        assert sum(len(reply.token_ids) for _, reply in replies) <= 20


@pytest.mark.parametrize("protocol", ["default", "qwen2p5", "R-Search", "llama3p1", "hermes", "openai"])
def test_games_are_played_under_every_protocol(protocol):
    tokenizer = build_tokenizer(TOOL_CHATML, TAGS)
    agent = agent_of(tokenizer=tokenizer, protocol=PROTOCOLS[protocol])
    replies = play_with(agent, games_of(2, protocol=protocol))
    assert all(reply.token_ids for each in replies.values() for _, reply in each)


# -- caches ----------------------------------------------------------------------------------------------


def test_the_history_is_read_once():
    agent = agent_of()
    replies = [reply for each in play_with(agent, games_of(1)).values() for _, reply in each]
    assert len(replies) > 1
    everything = sum(len(reply.context_ids) + len(reply.token_ids) for reply in replies)
    assert agent.loop.fed_tokens < everything


def test_changed_weights_are_used_once_the_caches_are_forgotten():
    model = build_model(len(TOKENIZER))
    agent = agent_of(model)
    agent.act_batch([view_of(QUESTION)])
    model.load_state_dict(build_model(len(TOKENIZER), seed=1).state_dict())
    agent.forget()
    assert agent.loop.cached_tokens == 0
    fresh = agent_of(build_model(len(TOKENIZER), seed=1))
    assert agent.act_batch([view_of(QUESTION)]) == fresh.act_batch([view_of(QUESTION)])


# -- new weights -----------------------------------------------------------------------------------------


def test_a_trainer_that_reuses_game_ids_draws_new_numbers_once_weights_are_published():
    agent = agent_of()
    first, repeated = (texts(play_with(agent, games_of(4))) for _ in range(2))
    agent.published("step 1")
    second = play_with(agent, games_of(4))
    assert first == repeated != texts(second)
    assert {reply.weights_version for each in second.values() for _, reply in each} == {"step 1"}
    resumed = agent_of()
    resumed.published("step 1")
    assert texts(play_with(resumed, games_of(4))) == texts(second)


def test_no_cache_of_old_weights_is_read_after_new_ones_are_published():
    changing, new = (build_model(len(TOKENIZER), seed=seed) for seed in range(2))
    agent = agent_of(changing)
    (first,) = agent.act_batch([view_of(QUESTION)])
    changing.load_state_dict(new.state_dict())
    agent.published("step 1")
    assert agent.loop.cached_tokens == 0
    messages = (QUESTION, Message("assistant", first.text), Message("tool", "krill"))
    (second,) = agent.act_batch([view_of(*messages)])
    read = [id_ for reply in (first, second) for id_ in (*reply.context_ids, *reply.token_ids)]
    with torch.inference_mode():
        logprobs = new(torch.tensor([read])).logits[0, -len(second.token_ids) - 1 : -1].log_softmax(-1)
    exact = logprobs.gather(-1, torch.tensor(second.token_ids)[:, None])[:, 0]
    ratios = (exact - torch.tensor(second.logprobs)).exp()
    assert ratios.tolist() == pytest.approx([1.0] * len(ratios), abs=2e-5)


# -- the end of a turn -----------------------------------------------------------------------------------

END = TOKENIZER.eos_token_id


@contextmanager
def dictated(model, words):
    """Make every next token that of a text whose ids come once each."""
    following = dict(pairwise(words))

    def overrule(module, args, kwargs, output):
        for row, ids in enumerate(kwargs["input_ids"].tolist()):
            output.logits[row, -1, following.get(ids[-1], words[0])] += 1e4

    hook = model.register_forward_hook(overrule, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


def dictation(last, **options):
    tokenizer = build_tokenizer(words=[f"<search> krill {word} </search>" for word in ("food", "size")])
    search, other = (
        tokenizer(f"<search> krill {word} </search>")["input_ids"][0] for word in ("food", "size")
    )
    model = build_model(len(tokenizer))
    agent = agent_of(model, tokenizer, **options)
    with dictated(model, [search, END if last == "end" else other]):
        (reply,) = agent.act_batch([view_of(QUESTION)])
    prompt = agent.conversations.prompt(
        view_of(QUESTION, Message("assistant", reply.text), Message("tool", "fish"))
    )
    return search, reply, tokenizer.decode(list(prompt.context_ids))


def test_an_end_of_turn_after_the_action_is_sampled_and_not_written_again():
    search, reply, unread = dictation("end")
    assert reply.token_ids == (search, END) and len(reply.logprobs) == 2
    assert reply.text == "<search> krill food </search>"
    assert unread == "\n<|start|>user\nfish<|end|>\n<|start|>assistant\n"


@pytest.mark.parametrize(
    ("last", "options"),
    [("other", {}), ("end", {"sample_end_of_turn": False}), ("end", {"max_new_tokens": 1})],
)
def test_else_the_turn_ends_with_its_action_and_the_template_ends_it(last, options):
    search, reply, unread = dictation(last, **options)
    assert reply.token_ids == (search,) and len(reply.logprobs) == 1
    assert unread == "<|end|>\n<|start|>user\nfish<|end|>\n<|start|>assistant\n"


# -- loading and bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_folder_is_loaded_in_the_precision_you_name(tmp_path, dtype):
    babbler().save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    agent = TransformersAgent.from_pretrained(tmp_path, dtype=dtype, sampling=SamplingParams(1.0, 1.0, 12))
    assert agent.model.dtype == getattr(torch, dtype)
    (reply,) = agent.act_batch([view_of(QUESTION)])
    if dtype == "float32":
        # Weights that lie elsewhere in memory may be summed up in another order.
        (expected,) = agent_of().act_batch([view_of(QUESTION)])
        assert replace(reply, logprobs=()) == replace(expected, logprobs=())
        assert reply.logprobs == pytest.approx(expected.logprobs, rel=1e-5)
    assert all(logprob <= 0 for logprob in reply.logprobs)


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"no model in '.*nowhere': expected a folder with config.json"
    ):
        TransformersAgent.from_pretrained(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"max_new_tokens": 8192},
            "max_new_tokens must be below the context window of 8192 tokens, got 8192",
        ),
        ({"context_window": 12}, "below the context window of 12 tokens, got 12"),
        ({"sampling": {"judge": SamplingParams()}}, "one of proposer, solver, reader; got judge"),
        ({"adapters": {"judge": "folder"}}, "one of proposer, solver, reader; got judge"),
        ({"tokenizer": build_tokenizer(None)}, "no chat template: use rendering='plain'"),
        ({"protocol": PROTOCOLS["openai"]}, "shows no tools, which 'openai' needs"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        agent_of(**options)


def test_a_prompt_beyond_the_context_window_is_cut_or_refused():
    long = view_of(Message("user", "k" * 500))
    agent = agent_of(context_window=101)
    (reply,) = agent.act_batch([long])
    assert (agent.conversations.cut_prompts, reply.token_ids) == (1, ())
    with pytest.raises(ContextOverflow, match="the context window has room for 89"):
        agent_of(context_window=101, on_overflow="error").act_batch([long])


def test_any_id_of_the_generation_config_ends_a_turn():
    model = build_model(len(TOKENIZER))
    (reply,) = agent_of(model).act_batch([view_of(QUESTION)])
    model.generation_config.eos_token_id = [TOKENIZER.eos_token_id, reply.token_ids[4]]
    (shorter,) = agent_of(model).act_batch([view_of(QUESTION)])
    place = reply.token_ids.index(reply.token_ids[4])
    assert shorter.token_ids == reply.token_ids[: place + 1]


def test_a_base_model_plays_with_plain_rendering():
    tokenizer = build_tokenizer(None, TAGS)
    (reply,) = agent_of(tokenizer=tokenizer, rendering="plain").act_batch([view_of(QUESTION)])
    assert tokenizer.decode(list(reply.context_ids)) == f"{QUESTION.content}\n"
    assert CHATML not in str(tokenizer.chat_template)

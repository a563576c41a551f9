"""The tiny policy: what it reports having sampled is what a full forward pass over the conversation says."""

import gc
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.tiny_model import build_model
from agents.tiny_policy import TinyPolicy
from ssp_env.game import Message, Reply, View
from tests.agents.tiny import (
    SIZES,
    STOP_WORDS,
    TOKENIZER,
    asked,
    ids_of,
    random_words,
    recomputed_logprobs,
    said,
    tiny_model,
    told,
    view_of,
)

STOP_IDS = set(ids_of(" ".join(STOP_WORDS)))


def policy(**options: object) -> TinyPolicy:
    options = {"stop_words": STOP_WORDS, "max_new_tokens": 10, **options}
    return TinyPolicy(tiny_model(), TOKENIZER, **options)  # type: ignore[arg-type]


class Conversations:
    """Many conversations of one policy, continued in any company and order."""

    def __init__(self, agent: TinyPolicy, count: int, seed: int) -> None:
        self.agent = agent
        self.rng = np.random.default_rng(seed)
        self.messages: list[list[Message]] = [[asked(random_words(self.rng, 1, 40))] for _ in range(count)]
        self.replies: list[list[Reply]] = [[] for _ in range(count)]

    def view(self, number: int) -> View:
        return view_of(self.messages[number], game_id=str(number))

    def take_turns(self, numbers: Sequence[int]) -> None:
        """Let the policy speak once in each of some conversations, in this order, in one batch."""
        replies = self.agent.act_batch([self.view(number) for number in numbers])
        assert len(replies) == len(numbers)
        for number, reply in zip(numbers, replies):
            self.replies[number].append(reply)
            self.messages[number] += [said(reply.text), told(random_words(self.rng, 1, 30))]

    def play(self, batches: int) -> None:
        """Let a random crowd speak, again and again: some join late, some leave, the order is shuffled."""
        for _ in range(batches):
            size = int(self.rng.integers(1, len(self.messages) + 1))
            self.take_turns([int(number) for number in self.rng.permutation(len(self.messages))[:size]])


# -- token in, token out -------------------------------------------------------------------------------


@settings(max_examples=12)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 7), st.sampled_from([1.0, 0.6, 1.7]))
def test_logprobs_are_those_of_one_forward_pass_in_any_company(
    seed: int, count: int, batches: int, temperature: float
):
    talks = Conversations(policy(temperature=temperature, seed=seed), count, seed)
    talks.play(batches)
    for replies in filter(None, talks.replies):
        for reply, expected in zip(replies, recomputed_logprobs(tiny_model(), replies, temperature)):
            np.testing.assert_allclose(reply.logprobs, expected, atol=1e-4)


@settings(max_examples=12)
@given(st.integers(0, 10**6))
def test_every_message_is_read_once_and_every_sampled_token_is_kept(seed: int):
    talks = Conversations(policy(seed=seed), 5, seed)
    talks.play(5)
    for messages, replies in zip(talks.messages, talks.replies):
        for turn, reply in enumerate(replies):
            assert list(reply.context_ids) == ids_of(messages[2 * turn].content)
            assert reply.text == " ".join(TOKENIZER.convert_ids_to_tokens(list(reply.token_ids)))
            assert reply.text == messages[2 * turn + 1].content
            assert len(reply.token_ids) == len(reply.logprobs) > 0
        tokens = [id_ for reply in replies for id_ in (*reply.context_ids, *reply.token_ids)]
        assert tokens == ids_of(" ".join(message.content for message in messages[: 2 * len(replies)]))


def test_several_new_messages_are_read_together():
    agent = policy()
    opening = [asked("solve"), told(random_words(np.random.default_rng(0)))]
    (first,) = agent.act_batch([view_of(opening)])
    assert list(first.context_ids) == ids_of(" ".join(message.content for message in opening))
    more = [told("none"), told("limit none")]
    (second,) = agent.act_batch([view_of([*opening, said(first.text), *more])])
    assert list(second.context_ids) == ids_of("none limit none")
    np.testing.assert_allclose(
        second.logprobs, recomputed_logprobs(tiny_model(), [first, second], 1.0)[1], atol=1e-4
    )


def test_the_model_is_fed_only_what_is_new():
    widths: list[int] = []
    model = tiny_model()
    handle = model.register_forward_pre_hook(
        lambda _, args, kwargs: widths.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    try:
        agent = policy()
        (reply,) = agent.act_batch([view_of([asked(" ".join(STOP_WORDS[:30]))])])
        steps = len(reply.token_ids)
        assert widths == [30, *[1] * (steps - 1)]
        del widths[:]
        agent.act_batch([view_of([asked(" ".join(STOP_WORDS[:30])), said(reply.text), told("none limit")])])
    finally:
        handle.remove()
    # The last sampled token was never fed, so it comes first.
    assert widths[0] == 3 and set(widths[1:]) <= {1}


def test_conversations_are_told_apart_by_game_seat_and_phase():
    agent = policy()
    opening = [asked("solve none limit")]
    for place in ("g solver_0 solve", "g solver_0 verify", "g solver_1 solve", "h solver_0 solve"):
        (reply,) = agent.act_batch([view_of(opening, *place.split())])
        assert list(reply.context_ids) == ids_of("solve none limit")


# -- greedy decoding -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_greedy_replies_do_not_depend_on_the_batch(seed: int):
    together, alone = (Conversations(policy(temperature=0.0, seed=s), 6, seed) for s in (1, 2))
    for _ in range(3):
        together.take_turns(range(6))
        for number in range(6):
            alone.take_turns([number])
    for ours, theirs in zip(together.replies, alone.replies):
        assert [reply.token_ids for reply in ours] == [reply.token_ids for reply in theirs]
        for one, other in zip(ours, theirs):
            np.testing.assert_allclose(one.logprobs, other.logprobs, atol=1e-4)


def test_greedy_takes_the_most_likely_token():
    talks = Conversations(policy(temperature=0.0), 4, 0)
    talks.take_turns(range(4))
    for (reply,) in talks.replies:
        ids = [*reply.context_ids, *reply.token_ids]
        with torch.no_grad():
            best = tiny_model()(input_ids=torch.tensor([ids])).logits[0].argmax(-1)
        assert best[len(reply.context_ids) - 1 : -1].tolist() == list(reply.token_ids)
        np.testing.assert_allclose(
            reply.logprobs, recomputed_logprobs(tiny_model(), [reply], 1.0)[0], atol=1e-4
        )


# -- sampling ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.25, 1.0])
def test_tokens_come_as_often_as_the_tempered_distribution_says(temperature: float):
    count, opening = 4000, [asked("solve none limit solve")]
    agent = policy(temperature=temperature, max_new_tokens=1, seed=3)
    replies = agent.act_batch([view_of(opening, game_id=str(number)) for number in range(count)])
    with torch.no_grad():
        logits = tiny_model()(input_ids=torch.tensor([ids_of(opening[0].content)])).logits[0, -1]
    expected = (logits / temperature).softmax(-1).numpy().astype(float)
    counted = np.bincount([reply.token_ids[0] for reply in replies], minlength=len(expected))
    # Pearson's statistic over cells of at least ten expected counts: its mean is the number of cells.
    order = np.argsort(expected)
    cells = np.minimum(np.cumsum(expected[order]) * count // 10, 10**6).astype(int)
    wanted, got = (np.bincount(cells, weights=values[order]) for values in (expected * count, counted))
    filled = wanted > 0
    statistic = float(((got - wanted)[filled] ** 2 / wanted[filled]).sum())
    assert statistic < filled.sum() + 6 * np.sqrt(2 * filled.sum())


def test_equal_seeds_sample_equal_replies_and_others_do_not():
    def replies(seed: int) -> list[list[Reply]]:
        talks = Conversations(policy(seed=seed), 4, 9)
        talks.play(3)
        return talks.replies

    assert replies(1) == replies(1)
    assert replies(1) != replies(2)


def test_the_global_generator_is_neither_read_nor_moved():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    (one,) = policy(seed=4).act_batch([view_of([asked("solve")])])
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    (other,) = policy(seed=4).act_batch([view_of([asked("solve")])])
    assert one == other


def test_what_is_sampled_does_not_depend_on_the_batch():
    openings = [random_words(np.random.default_rng(number), 1, 40) for number in range(9)]
    views = [view_of([asked(words)], game_id=str(number)) for number, words in enumerate(openings)]
    together = [reply.token_ids for reply in policy(seed=3).act_batch(views)]
    backwards = [reply.token_ids for reply in policy(seed=3).act_batch(views[::-1])][::-1]
    agent = policy(seed=3)
    alone = [agent.act_batch([view])[0].token_ids for view in views]
    assert together == backwards == alone


def test_attempts_at_one_question_are_read_once_and_sample_differently():
    agent, opening = policy(), [asked(" ".join(STOP_WORDS[:30]))]
    views = [view_of(opening, seat=f"solver_{attempt}") for attempt in range(8)]
    before = agent.loop.fed_tokens
    replies = agent.act_batch(views)
    assert len({reply.token_ids for reply in replies}) > 1
    assert agent.loop.fed_tokens - before <= 30 + sum(len(reply.token_ids) - 1 for reply in replies)
    for reply in replies:
        assert list(reply.context_ids) == ids_of(opening[0].content)
        np.testing.assert_allclose(
            reply.logprobs, recomputed_logprobs(tiny_model(), [reply], 1.0)[0], atol=2e-5
        )


# -- where a turn ends ---------------------------------------------------------------------------------


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.integers(1, 12))
def test_a_turn_ends_at_the_first_stop_word_or_at_the_limit(seed: int, limit: int):
    talks = Conversations(policy(seed=seed, max_new_tokens=limit), 6, seed)
    talks.play(3)
    for reply in (reply for replies in talks.replies for reply in replies):
        *inside, last = reply.token_ids
        assert not STOP_IDS & set(inside)
        assert last in STOP_IDS or len(reply.token_ids) == limit


def test_by_default_turns_end_at_the_closing_tags_of_actions():
    closing = ["</search>", "</question>", "</answer>"]
    agent = TinyPolicy(tiny_model(), TOKENIZER, max_new_tokens=200, seed=0)
    replies = agent.act_batch([view_of([asked("solve")], game_id=str(number)) for number in range(30)])
    endings = [reply.text.split()[-1] for reply in replies if len(reply.token_ids) < 200]
    assert set(endings) == set(closing)
    assert not any(word in closing for reply in replies for word in reply.text.split()[:-1])


# -- forgetting ----------------------------------------------------------------------------------------


def test_after_forgetting_a_conversation_is_read_from_the_start():
    talks = Conversations(policy(), 3, 0)
    talks.take_turns([0, 1, 2])
    talks.agent.forget()
    (reply,) = talks.agent.act_batch([talks.view(1)])
    assert list(reply.context_ids) == ids_of(" ".join(message.content for message in talks.messages[1]))
    np.testing.assert_allclose(reply.logprobs, recomputed_logprobs(tiny_model(), [reply], 1.0)[0], atol=1e-4)


def test_after_forgetting_no_cache_is_held():
    def caches() -> list[torch.Tensor]:
        return [thing for thing in gc.get_objects() if type(thing) is torch.Tensor and thing.dim() == 4]

    agent = policy()
    gc.collect()
    before = len(caches())
    agent.act_batch([view_of([asked("solve")])])
    gc.collect()
    assert len(caches()) > before
    agent.forget()
    gc.collect()
    assert len(caches()) == before


def test_another_conversation_of_the_same_name_is_read_from_its_beginning():
    agent = policy()
    first = agent.act_batch([view_of([asked("solve none limit")])])
    again = agent.act_batch([view_of([asked("solve none limit")])])
    assert first == again


# -- new weights ---------------------------------------------------------------------------------------


def test_games_of_the_same_ids_draw_new_numbers_once_weights_are_published():
    def step(agent: TinyPolicy, version: str) -> list[tuple[int, ...]]:
        views = [view_of([asked("solve none")], game_id=str(number)) for number in range(8)]
        replies = agent.act_batch(views)
        assert {reply.weights_version for reply in replies} == {version}
        return [reply.token_ids for reply in replies]

    agent = policy()
    first, repeated = step(agent, ""), step(agent, "")
    agent.published("step 1")
    second = step(agent, "step 1")
    assert first == repeated != second
    # The same version draws the same numbers, so that a run can be resumed.
    resumed = policy()
    resumed.published("step 1")
    assert step(resumed, "step 1") == second


def test_no_cache_of_old_weights_is_read_after_new_ones_are_published():
    changing = build_model(len(TOKENIZER), **SIZES)
    agent = TinyPolicy(changing, TOKENIZER, stop_words=STOP_WORDS, max_new_tokens=10)
    talks = Conversations(agent, 5, 0)
    talks.take_turns(range(5))
    changing.load_state_dict(tiny_model(1).state_dict())
    agent.published("step 1")
    talks.take_turns(range(5))
    for messages, replies in zip(talks.messages, talks.replies):
        # The conversation goes on: only what is new is context.
        assert list(replies[1].context_ids) == ids_of(messages[2].content)
        ratios = np.exp(np.subtract(recomputed_logprobs(changing, replies, 1.0)[1], replies[1].logprobs))
        np.testing.assert_allclose(ratios, 1.0, atol=2e-5)

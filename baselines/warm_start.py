"""The warm start: reading practice by dense look-ups, then behaviour cloning of scripted play.

Only training worlds are used. The look-ups stand in for the reading ability that a large model brings from
pre-training; the demonstrations bring the protocol. Both are supervised. Tiny models see weak play; a
language model sees games of a player who knows the answers, because hardly any game of its own is valid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

import numpy as np
from transformers import PreTrainedTokenizerFast

from agents.conversation_tokens import ConversationTokens
from agents.oracle_play import OraclePlayer
from agents.scripted import ScriptedPlayer
from agents.scripted.notes import NOTHING, backwards
from agents.scripted.proposer import PROPOSER_STRENGTHS
from baselines.learner import Experience, Learner, Loss, Totals
from baselines.policies.causal_lm import Scores
from baselines.rollouts.tasks import MAX_TRAIN_WORLDS, Source, WorldSource
from baselines.samples import (
    Batch,
    ConversationRecorder,
    Sample,
    Segment,
    collate,
    text_sample,
)
from ssp_env.game import Game, GameConfig, Protocol, Reply, View
from ssp_env.game.trajectory import segments_of
from ssp_env.play import AnyAgent, play
from ssp_env.scenario import Scenario
from ssp_env.worlds import KnownQuestion, TerseFact, World, render_question, world_preset

PageChoice = Literal["alike", "random", "linked"]
Fact: TypeAlias = tuple[str, str]  # subject and relation, which determine the object

UNANSWERABLE = 0.25
"""Share of question look-ups with a relation that no page shown states: the answer is that there is no such
fact, as it is for the scripted reader. A reader that has seen none takes the nearest fact for the missing one
and lets unanswerable questions pass the RAG check."""


def pages_shown(progress: float) -> int:
    """Return the pages per sequence after a share of the steps; few pages are easier to tell apart."""
    return 4 if progress < 0.3 else 8


def lookup_samples(
    preset: str,
    protocol: Protocol,
    tokenizer: PreTrainedTokenizerFast,
    rng: np.random.Generator,
    *,
    worlds: int,
    per_world: int,
    pages: int,
    recited: int = 2,
    lookups: int = 11,
) -> list[Sample]:
    """Make sequences that show some pages, recite a few of them and look facts up in them.

    A look-up completes a fact (`tavor mother` gives `belin`), answers a question as a reader does, quoting
    the facts that lead to the answer, or writes one as a proposer does, quoting the facts backwards.
    Only recitations and results of look-ups are trained; titles of pages and cues of look-ups are given.
    """
    samples = []
    for index in rng.integers(MAX_TRAIN_WORLDS, size=worlds):
        world = World(world_preset(preset, index=int(index)))
        for number in range(per_world):
            kind: PageChoice = ("alike", "linked", "random", "linked")[number % 4]
            shown = _choose_pages(world, pages, rng, kind)
            passages = [world.passage(int(i)) for i in shown]
            facts = {(f.subject, f.relation): f.value for i in shown for f in world.facts(int(i))}
            pieces = [(f"read {protocol.observe(passages)}", "")]
            for i in rng.permutation(len(passages))[:recited]:
                title, facts_stated = passages[int(i)].text.split(" ", 1)
                pieces.append((f"; {title}", facts_stated))
            pieces += [_lookup(facts, protocol, rng) for _ in range(lookups)]
            segments = tuple(
                Segment(tuple(tokenizer.backend_tokenizer.encode(text).ids), sampled)
                for piece in pieces
                for text, sampled in zip(piece, (False, True), strict=True)
            )
            samples.append(Sample(world.id, "lookup", segments))
    return samples


def _choose_pages(world: World, count: int, rng: np.random.Generator, kind: PageChoice) -> list[int]:
    """Draw pages that are hard to tell apart, any pages, or pages that link to one another and others."""
    order = [int(page) for page in rng.permutation(len(world))]
    if kind == "alike":
        # Pages of one type state the same relations, so that the relation alone does not find a fact.
        types = {page: world.entity(page).type for page in order}
        rank = {name: position for position, name in enumerate(dict.fromkeys(types.values()))}
        order.sort(key=lambda page: rank[types[page]])
    elif kind == "linked":
        chain = order[:1]
        while len(chain) < count // 2 + 1:
            links = {fact.target for fact in world.facts(chain[-1]) if fact.target is not None} - {*chain}
            if not links:
                break
            chain.append(sorted(links)[int(rng.integers(len(links)))])
        order = list(dict.fromkeys([*chain, *order]))
    return [order[i] for i in rng.permutation(count)]


def _lookup(facts: Mapping[Fact, str], protocol: Protocol, rng: np.random.Generator) -> tuple[str, str]:
    keys = list(facts)
    subject, relation = keys[int(rng.integers(len(keys)))]
    kind = rng.random()
    if kind < 0.05:
        return f"{subject} {relation}", facts[subject, relation]
    chain = _chain(facts, int(rng.integers(1, 4)), rng)
    if kind < 0.4:
        return _asking(facts, chain, protocol)
    return _answering(facts, chain, protocol, rng)


def _asking(facts: Mapping[Fact, str], chain: Sequence[Fact], protocol: Protocol) -> tuple[str, str]:
    from_answer = chain[::-1]
    quoted = backwards([TerseFact(*key, facts[key]) for key in from_answer])
    question = render_question([relation for _, relation in from_answer], chain[0][0])
    asked = f"{quoted} {protocol.wrap(protocol.question, question)}"
    return f"propose {len(chain)} : {facts[chain[-1]]}", asked


def _answering(
    facts: Mapping[Fact, str], chain: Sequence[Fact], protocol: Protocol, rng: np.random.Generator
) -> tuple[str, str]:
    relations = [relation for _, relation in chain]
    reached = [chain[0][0], *(facts[key] for key in chain)]
    if rng.random() < UNANSWERABLE:
        place = int(rng.integers(len(chain)))
        missing = sorted({key[1] for key in facts} - {key[1] for key in facts if key[0] == reached[place]})
        if missing:
            relations[place] = missing[int(rng.integers(len(missing)))]
            chain = chain[:place]
    reaches_end = len(chain) == len(relations)
    answer = protocol.wrap(protocol.answer, reached[-1] if reaches_end else NOTHING)
    quoted = [f"{key[0]} {key[1]} {facts[key]}" for key in chain]
    return render_question(relations[::-1], reached[0]), " ".join([*quoted, answer])


def _chain(facts: Mapping[Fact, str], hops: int, rng: np.random.Generator) -> list[Fact]:
    """Draw a chain of `hops` facts, each about the object of the one before, or the longest that there is."""
    keys = list(facts)
    longest: list[Fact] = []
    for start in rng.permutation(len(keys)):
        chain = [keys[int(start)]]
        while len(chain) < hops:
            seen = {chain[0][0], *(facts[key] for key in chain)}
            following = [key for key in keys if key[0] == facts[chain[-1]] and facts[key] not in seen]
            if not following:
                break
            chain.append(following[int(rng.integers(len(following)))])
        if len(chain) == hops:
            return chain
        longest = max(longest, chain, key=len)
    return longest


def demonstrator(hops_as_asked: float, seed: int) -> ScriptedPlayer:
    """Return the weak player that a tiny model learns from; see `WarmStartConfig.hops_as_asked`."""
    weak = PROPOSER_STRENGTHS["weak"]
    others = {strategy: (1.0 - hops_as_asked) * share for strategy, share in weak.items()}
    # A mixture without its first part draws the same numbers as the weak player itself.
    asked = {"hops_asked": hops_as_asked} if hops_as_asked else {}
    return ScriptedPlayer(proposer={**others, **asked}, seed=seed)


def demonstrations(
    source: Source,
    player: AnyAgent,
    config: GameConfig,
    tokenizer: PreTrainedTokenizerFast,
    rng: np.random.Generator,
    *,
    games: int,
) -> list[Sample]:
    """Let a scripted player play whole games and keep every conversation, right or wrong.

    Args:
        source: Draws the tasks.
        player: Plays every role.
        config: Rules of the games.
        tokenizer: Tokenizer of the policy that learns from the conversations.
        rng: Random generator of all draws.
        games: Number of games.
    """
    tasks, scenarios = source.draw(rng, games)
    opened = [Game(task, config, int(rng.integers(2**32)), game_id=task.id) for task in tasks]
    recorder = ConversationRecorder(player)
    _play_alone(opened, recorder, scenarios, rng)
    return [
        text_sample(messages, tokenizer, game_id, seat)
        for (game_id, seat, _), messages in recorder.conversations.items()
    ]


class Demonstrator:
    """Plays known questions, and returns the tokens that a language model would have had to sample.

    Args:
        known: The question of each game, by the game's id.
        conversations: The model's record of conversations as token ids.
        complete: Whether the proposer searches for every entity of the path, the first included.
    """

    def __init__(
        self,
        known: Mapping[str, KnownQuestion],
        conversations: ConversationTokens,
        *,
        complete: bool = False,
    ) -> None:
        self._players = {
            game_id: OraclePlayer(question, complete=complete) for game_id, question in known.items()
        }
        self._conversations = conversations
        self._turns: dict[tuple[str, str, str], list[Reply]] = {}
        end = conversations.tokenizer.eos_token_id
        self._end = (end,) if conversations.rendering == "chat" and isinstance(end, int) else ()

    def act_batch(self, views: Sequence[View]) -> list[Reply]:
        """Return one turn per view, with its tokens and no log-probabilities."""
        return [self._turn(view) for view in views]

    def _turn(self, view: View) -> Reply:
        prompt = self._conversations.prompt(view)
        text = self._players[view.game_id].act(view)
        ids = self._conversations.tokenizer(text, add_special_tokens=False)["input_ids"]
        reply = self._conversations.reply(view, prompt, (*ids, *self._end), ())
        self._turns.setdefault(view.conversation_id, []).append(reply)
        return reply

    def samples(self) -> list[Sample]:
        """Return every conversation so far, those of the reader included, whose tokens are all known."""
        return [
            Sample(game_id, seat, segments_of(replies))
            for (game_id, seat, _), replies in self._turns.items()
            if all(reply.token_ids for reply in replies)
        ]


def oracle_demonstrations(
    source: WorldSource,
    config: GameConfig,
    conversations: ConversationTokens,
    rng: np.random.Generator,
    *,
    games: int,
) -> list[Sample]:
    """Play known questions of generated worlds in every role, and keep every conversation that is whole.

    Args:
        source: Draws the questions.
        config: Rules of the games; a conversation whose question breaks one is kept as well.
        conversations: See `Demonstrator`.
        rng: Random generator of all draws.
        games: Number of games.
    """
    drawn, scenarios = source.draw_known(rng, games)
    known = {str(number): question for number, (question, _) in enumerate(drawn)}
    player = Demonstrator(known, conversations, complete=config.quote_check != "off")
    opened = [
        Game(replace(question.task, question="", id=str(number), corpus=corpus), config, rng, str(number))
        for number, (question, corpus) in enumerate(drawn)
    ]
    _play_alone(opened, player, scenarios, rng)
    return player.samples()


def _play_alone(
    games: Sequence[Game], player: AnyAgent, scenarios: Mapping[str, Scenario], rng: np.random.Generator
) -> None:
    """Let one player play every role of games."""
    play(
        games,
        proposer=player,
        solver=player,
        search={key: scenario.engine for key, scenario in scenarios.items()},
        seed=int(rng.integers(2**32)),
        on_player_error="raise",
    )


def clone(learner: Learner, samples: Sequence[Sample]) -> dict[str, float]:
    """Take one optimiser step on the mean negative log-likelihood of the sampled tokens.

    Returns:
        `loss` in nats per token, and `grad_norm`.
    """

    def loss(batch: Batch, scores: Scores, totals: Totals) -> Loss:
        return Loss(-scores.logprobs.sum() / totals.tokens)

    metrics = learner.fit([Experience("cloning", collate(samples), loss)])
    return {"loss": metrics["cloning/loss"], "grad_norm": metrics["grad_norm"]}

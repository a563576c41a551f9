"""Defences against false labels: each judges valid questions before anybody learns from them.

A defence returns for every game a weight from 0 to 1, by which the proposer's reward is multiplied. At
weight 0 the question is refused: the proposer is paid as for an invalid one, and no attempt at it is learnt
from. Rules of the game that refuse questions earlier, and so save the attempts, are `quote_check`,
`second_reading`, `hop_check`, `closed_book` and `uniqueness` of `GameConfig`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np

from baselines.rollouts.rollout import Rollout, Setting, is_valid, rollout_metrics
from baselines.samples import Sample
from baselines.seeding import derive_rng
from ssp_env.game import Game, Passage, View
from ssp_env.game.events import EvidenceMixed, SearchReturned
from ssp_env.game.prompts import prompt_style
from ssp_env.game.shortening import shown_evidence
from ssp_env.game.view import PROPOSER_SEAT, READER_SEAT, Probe
from ssp_env.objects import load_attribute
from ssp_env.play import AnyAgent, act_all
from ssp_env.scoring import exact_match

Reader = Literal["current", "frozen"]
"""Who reads for a defence: the policy that learns, or the warm start."""

READINGS = 4
"""Readings of defences that take the share of right ones."""
LEAST_SUCCESS = 0.25
"""Success of the solver below which a label is more often false than the question hard."""


@dataclass
class Referee:
    """Reads questions for defences.

    Args:
        readers: The players that read.
        rng: Draws the order of passages.

    Attributes:
        sampled_tokens: Tokens that readings have cost so far.
    """

    readers: Mapping[Reader, AnyAgent]
    rng: np.random.Generator
    sampled_tokens: int = 0
    _readings: int = field(default=0, repr=False)

    def recovers(
        self,
        games: Sequence[Game],
        passages: Sequence[Sequence[Passage] | None] | None = None,
        by: Reader = "current",
    ) -> list[bool]:
        """Return whether the answer of each game is read out of passages, in an order drawn anew.

        Args:
            games: Games with a question.
            passages: What is read for each, and None for a reading from memory; if left out, the passages of
                each RAG check.
            by: Who reads.
        """
        if passages is None:
            passages = [mixed(game) for game in games]
        views = [self._view(game, shown) for game, shown in zip(games, passages, strict=True)]
        replies = act_all(self.readers[by], views)
        self.sampled_tokens += sum(len(reply.token_ids) for reply in replies)
        right = []
        for game, reply in zip(games, replies, strict=True):
            action = game.protocol.parse(reply, "answer", has_search_tool=False)
            right.append(action.kind == "answer" and exact_match(action.content, game.golds))
        return right

    def shares(
        self, games: Sequence[Game], by: Reader = "current", *, readings: int = READINGS
    ) -> list[float]:
        """Return the share of readings of the RAG check's passages that recover each answer."""
        right = [self.recovers(games, by=by) for _ in range(readings)]
        return [sum(column) / readings for column in zip(*right, strict=True)]

    def _view(self, game: Game, passages: Sequence[Passage] | None) -> View:
        self._readings += 1
        style, rules = prompt_style(game.config.prompts), game.config
        if passages is None:
            messages = style.closed_book(rules, game.question)
        else:
            order = [passages[index] for index in self.rng.permutation(len(passages))]
            messages = style.reader(rules, game.question, shown_evidence(order, rules).passages)
        # A conversation of its own, because agents seed and remember by conversation.
        name = f"{game.id}/defence/{self._readings}"
        probe: Probe = "closed_book" if passages is None else "recovery"
        return View(name, READER_SEAT, "verify", tuple(messages), 1, 0, probe=probe)


Defence: TypeAlias = Callable[[Sequence[Game], Referee], Sequence[float]]


def mixed(game: Game) -> tuple[Passage, ...]:
    """Return the passages of the RAG check, noise included; none if there was no check."""
    found = [event.passages for event in game.events if isinstance(event, EvidenceMixed)]
    return found[-1] if found else ()


# -- defences ----------------------------------------------------------------------------------------------


def least_success(games: Sequence[Game], referee: Referee) -> list[float]:
    """Refuse questions that hardly any attempt answers as the label says."""
    rates = [game.outcome.success_rate if game.outcome else None for game in games]
    return [float((rate or 0.0) >= LEAST_SUCCESS) for rate in rates]


def votes(games: Sequence[Game], referee: Referee) -> list[float]:
    """Refuse questions that most of further readings do not confirm, each in another order."""
    return [float(share > 0.5) for share in referee.shares(games, readings=3)]


def frozen_reader(games: Sequence[Game], referee: Referee) -> list[float]:
    """Refuse questions that the warm start does not confirm: it has not learnt what the proposer is paid for.

    Other checkpoints that check each other's samples are CrossFit's idea (arXiv 2609.39102).
    """
    return [float(share > 0.5) for share in referee.shares(games, "frozen", readings=3)]


def closed_book(games: Sequence[Game], referee: Referee) -> list[float]:
    """Refuse questions that are answered from memory."""
    return [float(not known) for known in referee.recovers(games, [None] * len(games))]


def needed_passages(games: Sequence[Game], referee: Referee) -> list[float]:
    """Refuse questions whose answer is still read whichever passage of the proposer is left out."""
    rows: list[tuple[int, tuple[Passage, ...]]] = []
    for number, game in enumerate(games):
        own = {passage.id for passage in game.evidence}
        shown = mixed(game)
        rows += [
            (number, tuple(other for other in shown if other.id != passage.id))
            for passage in shown
            if passage.id in own
        ]
    right = referee.recovers([games[number] for number, _ in rows], [passages for _, passages in rows])
    lost = {number for (number, _), still in zip(rows, right, strict=True) if not still}
    return [float(number in lost) for number in range(len(games))]


def found_by_solvers(games: Sequence[Game], referee: Referee) -> list[float]:
    """Refuse questions that are answered otherwise from what the solvers found: there another answer stands.

    A question whose solvers found nothing stays.
    """
    found = [_solvers_passages(game) for game in games]
    some = [number for number, passages in enumerate(found) if passages]
    right = referee.recovers([games[number] for number in some], [found[number] for number in some])
    refused = {number for number, recovered in zip(some, right, strict=True) if not recovered}
    return [float(number not in refused) for number in range(len(games))]


def paid_evidence(games: Sequence[Game], referee: Referee) -> list[float]:
    """Pay the proposer what its evidence adds to the reader's success (EVE-Agent, arXiv 2605.22905)."""
    without = [referee.recovers(games, [None] * len(games)) for _ in range(READINGS)]
    known = [sum(column) / READINGS for column in zip(*without, strict=True)]
    return [max(0.0, read - memory) for read, memory in zip(referee.shares(games), known, strict=True)]


def guide(games: Sequence[Game], referee: Referee) -> list[float]:
    """Multiply the proposer's reward by what a fixed guide thinks of the question (SGS, arXiv 2604.20209).

    The guide is the warm start, and what it thinks is the share of its readings that recover the answer.
    """
    return referee.shares(games, "frozen")


def _solvers_passages(game: Game) -> tuple[Passage, ...]:
    found = {
        passage.id: passage
        for event in game.events
        if isinstance(event, SearchReturned) and event.seat != PROPOSER_SEAT
        for passage in event.passages
    }
    return tuple(found.values())


DEFENCES: Mapping[str, Defence] = {
    function.__name__: function
    for function in (
        *(least_success, votes, frozen_reader, closed_book),
        *(needed_passages, found_by_solvers, paid_evidence, guide),
    )
}


def find_defence(name: str) -> Defence:
    """Return a defence by its name, or by `module:function`.

    Raises:
        ValueError: If there is none.
    """
    if name in DEFENCES:
        return DEFENCES[name]
    if ":" not in name:
        raise ValueError(f"defences must be {', '.join(DEFENCES)} or module:function, got {name!r}")
    found = load_attribute(name, "defence")
    if not callable(found):
        raise ValueError(f"the defence {name!r} must be a function of games and a referee, got {type(found)}")
    return found  # type: ignore[no-any-return]


# -- in a step of training ---------------------------------------------------------------------------------


def judged(names: Sequence[str], games: Sequence[Game], referee: Referee) -> dict[str, list[float]]:
    """Return the weights that each defence gives.

    Raises:
        ValueError: If a defence returns anything but one number from 0 to 1 for each game.
    """
    found = {}
    for name in names:
        weights = [float(weight) for weight in find_defence(name)(games, referee)]
        if len(weights) != len(games) or not all(0.0 <= weight <= 1.0 for weight in weights):
            raise ValueError(
                f"the defence {name!r} must return {len(games)} numbers from 0 to 1, one for each game, "
                f"got {weights}"
            )
        found[name] = weights
    return found


def defended(
    names: Sequence[str], played: Rollout, setting: Setting, readers: Mapping[Reader, AnyAgent]
) -> Rollout:
    """Return the games of a step with the samples, slots and metrics that defences leave of them.

    Metrics gain `defences/NAME`, the mean weight of valid questions, and `refused_rate`, the share of valid
    questions that any defence refuses; those of valid questions are about the ones that are left.
    """
    own = setting.processes.share([game for game in played.games if is_valid(game)])
    rng = derive_rng(setting.seed, setting.step, setting.processes.rank, "defences")
    referee = Referee(readers, rng)
    by_name = judged(names, own, referee)
    rows = setting.processes.gather(list(zip([game.id for game in own], *by_name.values(), strict=True)))
    columns = [[row[place] for row in rows] for place in range(1, len(names) + 1)]
    weights = {str(row[0]): float(np.prod(row[1:])) for row in rows}
    refused = frozenset(game_id for game_id, weight in weights.items() if weight == 0.0)
    valid = max(1, len(weights))
    metrics = {
        **rollout_metrics(played.games, played.scenarios, refused),
        **{f"defences/{name}": sum(column) / valid for name, column in zip(names, columns, strict=True)},
        "refused_rate": len(refused) / valid,
        "incomplete_samples": played.metrics["incomplete_samples"],
        "sampled_tokens": played.metrics["sampled_tokens"]
        + sum(setting.processes.gather([referee.sampled_tokens])),
    }
    invalid = setting.config.invalid_reward
    return replace(
        played,
        samples={
            "proposer": [_weighted(sample, weights, invalid) for sample in played.samples["proposer"]],
            "solver": [sample for sample in played.samples["solver"] if sample.game_id not in refused],
        },
        metrics=metrics,
        slots=[slot for slot in played.slots if slot not in refused],
        refused=refused,
    )


def _weighted(sample: Sample, weights: Mapping[str, float], invalid: float) -> Sample:
    weight = weights.get(sample.game_id, 1.0)
    return replace(sample, reward=weight * sample.reward if weight else invalid)

"""Who plays a role against the learner: frozen or past weights of the policy, or any player by name."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from torch import Tensor

from agents.player_names import HUMAN, PlayerOptions, Prompts
from agents.players import Cast, names_by_role
from agents.scripted import SCRIPTED, scripted
from baselines.by_role import by_role, distinct, joined, made_of, state_of
from baselines.config.self_play import CURRENT, FROZEN, PAST, OpponentsConfig, Weighting
from baselines.policies.causal_lm import CausalLMPolicy
from ssp_env.game import GameConfig, Reply, Role, View
from ssp_env.http import run
from ssp_env.play import AnyAgent
from ssp_env.play.players import act_of, as_replies, is_async_agent

FORGETTING = 0.99
"""Weight of a result when one more has come in (AlphaStar's pay-off matrix)."""


class Opponent(NamedTuple):
    """Who plays a role in a step.

    Attributes:
        agent: Plays it.
        reader: Answers the RAG check in its games; whoever solves if None.
        version: Step that past weights are from; None for everybody else.
    """

    agent: AnyAgent
    reader: AnyAgent | None = None
    version: int | None = None


class Opponents:
    """Picks who plays each role in the place of the learner.

    Args:
        config: The options.
        learning: Roles that learn.
        policies: The policy of both roles, or that of each.
        frozen: The warm start; needed only if `frozen` plays.
        game: Rules of the games, which players by name must read.
        temperature: Sampling temperature of players by name.

    Attributes:
        names: By role, what `OpponentsConfig` calls its player.
        past: By role, the past weights of its policy, if any opponent has them.
        win_rates: By role that past weights play, how often the learner wins against each version.

    Raises:
        ValueError: If a name stands for no player, or the player cannot read the prompts of the game.
    """

    def __init__(
        self,
        config: OpponentsConfig,
        learning: Collection[Role],
        policies: CausalLMPolicy | Mapping[Role, CausalLMPolicy],
        frozen: CausalLMPolicy | None,
        game: GameConfig,
        temperature: float = 1.0,
    ) -> None:
        self.config = config
        self.names = config.resolved(learning)
        self._policies, self._frozen = by_role(policies), frozen
        self.past = made_of(self._policies, lambda policy: PastWeights(policy, config.window, config.every))
        self.win_rates = {role: WinRates() for role, name in self.names.items() if name in PAST}
        self._named = _named_players(self.names, game, temperature)

    def begin(self, step: int) -> None:
        """Keep the present weights as past ones of later steps, if it is time."""
        for past in distinct({role: self.past[role] for role in self.win_rates}).values():
            past.keep(step)

    def pick(self, role: Role, seed: int, rng: np.random.Generator) -> Opponent:
        """Return who plays a role in this step.

        Args:
            role: The role.
            seed: Seed of the player's own random choices.
            rng: Draws one of several.
        """
        name = self.names[role]
        if name == CURRENT:
            return Opponent(self._policies[role].agent(seed))
        if name == FROZEN:
            assert self._frozen is not None
            return Opponent(self._frozen.agent(seed))
        if role in self._named:
            return self._named[role].opponent(seed)
        past = self.past[role]
        chances = None
        if name == "pfsp":
            rates = [self.win_rates[role].rate(version) for version in past.versions]
            chances = pfsp_probabilities(rates, self.config.weighting)
        version = int(rng.choice(past.versions, p=chances))
        return Opponent(past.player(role, version, seed), version=version)

    def record(self, role: Role, version: int, wins: Sequence[float]) -> None:
        """Remember how the learner did against a version: from 0, lost, to 1, won, by game."""
        self.win_rates[role].add(version, wins)
        self.win_rates[role].keep_only(self.past[role].versions)

    # -- checkpoints -----------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Tensor]:
        """Return the past weights."""
        return joined({owner: past.state_dict() for owner, past in distinct(self.past).items()})

    def plain_state(self) -> dict[str, Any]:
        """Return the win rates, as plain data for JSON."""
        return {role: rates.to_dict() for role, rates in self.win_rates.items()}

    def load(self, state: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
        """Invert `state_dict` and `plain_state`."""
        for owner, past in distinct(self.past).items():
            past.load(state_of(owner, state))
        for role, rates in self.win_rates.items():
            rates.load(plain.get(role, {}))


def check_players(config: OpponentsConfig, learning: Collection[Role], game: GameConfig) -> None:
    """Make the players by name once, so that a run is refused before it begins.

    Raises:
        ValueError: If a name stands for no player, or the player cannot read the prompts of the game.
    """
    _named_players(config.resolved(learning), game, temperature=1.0)


def _named_players(
    names: Mapping[Role, str], game: GameConfig, temperature: float
) -> dict[Role, NamedPlayer]:
    kinds = (CURRENT, FROZEN, *PAST)
    return {
        role: NamedPlayer(role, name, game, temperature) for role, name in names.items() if name not in kinds
    }


class PastWeights:
    """Weights of the policy at earlier steps, of which the newest are kept.

    Args:
        policy: The policy.
        window: How many are kept.
        every: Steps between them.

    Attributes:
        weights: What training changes, by step, the oldest first; on the CPU.
    """

    def __init__(self, policy: CausalLMPolicy, window: int, every: int) -> None:
        self._policy, self._window, self._every = policy, window, every
        self.weights: dict[int, dict[str, Tensor]] = {}
        self._players: dict[Role, CausalLMPolicy] = {}

    @property
    def versions(self) -> list[int]:
        """Steps that the kept weights are from, in order."""
        return [*self.weights]

    def keep(self, step: int) -> None:
        """Keep the present weights if the step is a multiple of `every`."""
        if step % self._every:
            return
        state = self._policy.state_dict()
        self.weights[step] = {name: tensor.to("cpu", copy=True) for name, tensor in state.items()}
        for old in self.versions[: -self._window]:
            del self.weights[old]

    def player(self, role: Role, version: int, seed: int) -> AnyAgent:
        """Return a player with past weights; the one that played this role before gets others."""
        if role not in self._players:
            self._players[role] = self._policy.duplicate()
        past = self._players[role]
        past.load_state_dict(self.weights[version])
        past.published(f"past-{version}")
        return past.agent(seed)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the past weights under `version/name`."""
        return joined({str(version): weights for version, weights in self.weights.items()})

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Invert `state_dict`."""
        versions = sorted({int(key.partition("/")[0]) for key in state})
        self.weights = {version: state_of(str(version), state) for version in versions}


class WinRates:
    """How often the learner wins against each version; old results count less."""

    def __init__(self) -> None:
        self._won: dict[int, tuple[float, float]] = {}

    def rate(self, version: int) -> float:
        """Return the win rate; one half if the version has not been played yet."""
        won, played = self._won.get(version, (0.0, 0.0))
        return won / played if played else 0.5

    def add(self, version: int, wins: Sequence[float]) -> None:
        """Take in the results of games, each from 0 to 1."""
        won, played = self._won.get(version, (0.0, 0.0))
        for win in wins:
            won, played = FORGETTING * won + win, FORGETTING * played + 1.0
        self._won[version] = (won, played)

    def keep_only(self, versions: Collection[int]) -> None:
        """Forget versions that are not kept any more."""
        self._won = {version: result for version, result in self._won.items() if version in versions}

    def to_dict(self) -> dict[str, list[float]]:
        """Return plain data for JSON."""
        return {str(version): list(result) for version, result in self._won.items()}

    def load(self, data: Mapping[str, Sequence[float]]) -> None:
        """Invert `to_dict`."""
        self._won = {int(version): (won, played) for version, (won, played) in data.items()}


def pfsp_probabilities(win_rates: Sequence[float], weighting: Weighting = "squared") -> list[float]:
    """Return how often to play each opponent (prioritised fictitious self-play, Vinyals et al. 2019).

    If every weight is 0, as where the learner always wins, all are drawn equally often.

    >>> pfsp_probabilities([0.0, 0.5, 1.0])
    [0.8, 0.2, 0.0]
    >>> pfsp_probabilities([0.0, 0.5, 1.0], "variance")
    [0.0, 1.0, 0.0]
    """
    rates = np.asarray(win_rates, dtype=float)
    weights = {"squared": (1 - rates) ** 2, "linear": 1 - rates, "variance": rates * (1 - rates)}[weighting]
    if weights.sum() < 1e-10:
        weights = np.ones_like(rates)
    return [float(weight) for weight in weights / weights.sum()]


class NamedPlayer:
    """A player by name, in the place of a role.

    Args:
        role: The role.
        name: See `agents.player_names.possible_names`.
        game: Rules of the games.
        temperature: Its sampling temperature, if it is a language model.

    Raises:
        ValueError: If the name stands for no player, or the player cannot read the prompts of the game.
    """

    def __init__(self, role: Role, name: str, game: GameConfig, temperature: float) -> None:
        if name == HUMAN:
            raise ValueError(f"opponents.{role} must be a player that needs no person, got {name!r}")
        names: dict[str, str] = {role: name}
        if role == "solver" and (reader := names_by_role("", name).get("reader")):
            names["reader"] = reader
        options = PlayerOptions(
            prompts=cast("Prompts", game.prompts),
            protocol=game.protocol,
            labels={role: f"opponents.{role}"},
        )
        made = Cast(names, temperature=temperature, options=options)
        if made.prompts != game.prompts:
            raise ValueError(
                f"opponents.{role} = {name!r} reads {made.prompts} prompts, and the game has {game.prompts}"
            )
        self._names = names
        self._players = {part: _waiting(player) for part, player in made.players.items()}
        self._role = role

    def opponent(self, seed: int) -> Opponent:
        """Return the player, drawing other numbers than in earlier steps."""
        players: dict[str, Any] = {}
        for part, name in self._names.items():
            player: Any = self._players[part]
            if name in SCRIPTED.get(part, ()):
                player = scripted(part, name, seed)
            elif hasattr(player, "published"):
                # Games have the same ids at every step, so that it would draw the same numbers.
                player.published(str(seed))
            players[part] = player
        return Opponent(players[self._role], players.get("reader"))


class _Waiting:
    """An asynchronous agent for games that wait for their players: all turns of a batch run side by side."""

    def __init__(self, agent: Any) -> None:
        self._agent = agent

    def act_batch(self, views: Sequence[View]) -> list[Reply]:
        """Return one reply per view."""
        return run(self._act(views))

    async def _act(self, views: Sequence[View]) -> list[Reply]:
        act = act_of(self._agent)
        if hasattr(self._agent, "act_batch"):
            return as_replies(await act(views), len(views), act)
        return as_replies(await asyncio.gather(*map(act, views)), len(views), act)


def _waiting(player: Any) -> Any:
    return _Waiting(player) if is_async_agent(player) else player

"""The games of each step of self-play: who plays whom, which questions count, what fills the batch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from torch import Tensor

from baselines.by_role import LEARNING_ROLES, by_role, distinct, made_of
from baselines.config import TrainConfig
from baselines.config.self_play import CURRENT, FROZEN
from baselines.policies.causal_lm import CausalLMPolicy
from baselines.processes import Processes
from baselines.rollouts.batch_filling import Filling, without_copies
from baselines.rollouts.defences import Reader, defended
from baselines.rollouts.hop_mixture import HopMixture
from baselines.rollouts.opponents import Opponents
from baselines.rollouts.rollout import Pairing, Rollout, Setting, play_pairings
from baselines.rollouts.tasks import Source, WorldSource, open_source
from baselines.seeding import derive_rng, derive_seed
from ssp_env.game import Outcome, Role
from ssp_env.game.view import PROPOSER_SEAT
from ssp_env.play import AnyAgent


class Match(NamedTuple):
    """A pairing, and the step that the weights of its opponent are from if they are past ones."""

    pairing: Pairing
    version: int | None = None


class RolloutWorker:
    """Plays the games of one step after the other with the weights that its policies have.

    Args:
        config: Configuration of the run.
        policies: The policy of both roles, or that of each.
        frozen: The warm start; needed only if `OpponentsConfig.resolved` has it play.
        processes: Those that share the work; only this one if None.

    Attributes:
        policies: By role, who plays it; the solver's policy also reads for the RAG check.
        opponents: Who plays in the place of the learner.
        filling: Completes the solver's batch.
        hop_mixture: Knows how often each number of hops should be asked for.
    """

    def __init__(
        self,
        config: TrainConfig,
        policies: CausalLMPolicy | Mapping[Role, CausalLMPolicy],
        frozen: CausalLMPolicy | None,
        processes: Processes | None = None,
    ) -> None:
        self.config = config
        self.processes = processes or Processes()
        self.policies = by_role(policies)
        self._frozen = frozen
        self.source = open_source(config.source, config.world, config.hops, config.game)
        self.opponents = Opponents(
            config.opponents, config.learning, self.policies, frozen, config.game, config.temperature
        )
        self.filling = Filling(config.filling)
        self.hop_mixture = HopMixture(config.hops)

    @property
    def learning(self) -> dict[str, CausalLMPolicy]:
        """The policies that learn, each once."""
        return distinct({role: self.policies[role] for role in self.config.learning})

    def play(self, number: int, version: int | None = None) -> Rollout:
        """Play the games of a step.

        Args:
            number: Number of the step.
            version: Number of the step before whose update the weights are from; that of this step if None.
        """
        config = self.config
        # Two steps with the same weights need two names, because players draw random numbers by them.
        name = str(number) if version in (None, number) else f"{number}-with-{version}"
        for policy in self.learning.values():
            policy.published(name)
        if self._frozen is not None:
            # Its random numbers depend on this name, which a resumed run must not choose anew.
            self._frozen.published("before")
        self.opponents.begin(number)
        setting = Setting(self._source(), config.game, config.seed, number, config.proposals, self.processes)
        matches = self._matches(number)
        played = play_pairings(setting, [match.pairing for match in matches])
        results = self._results(played, matches, number)
        played = self._defended(played, setting)
        self.hop_mixture.record([game for game in played.games if game.id not in played.refused])
        played = self._completed(played, setting, matches, config.learning_at(number))
        return replace(played, metrics=played.metrics | results)

    def _source(self) -> Source:
        """Return where the tasks of a step come from."""
        if self.config.hop_mixture == "adaptive" and isinstance(self.source, WorldSource):
            return replace(self.source, shares=self.hop_mixture.shares())
        return self.source

    def _defended(self, played: Rollout, setting: Setting) -> Rollout:
        """Leave out the questions that the defences of the configuration refuse."""
        names = self.config.defences
        if not names:
            return played
        seed = derive_seed(setting.seed, setting.step, "defences")
        readers: dict[Reader, AnyAgent] = {"current": self.policies["solver"].agent(seed)}
        if self._frozen is not None:
            readers["frozen"] = self._frozen.agent(seed)
        return defended(names, played, setting, readers)

    def _completed(
        self, played: Rollout, setting: Setting, matches: Sequence[Match], learning: Collection[Role]
    ) -> Rollout:
        """Fill the solver's batch, if the solver learns."""
        solving = [match.pairing for match in matches if match.pairing.opponent != "solver"]
        if "solver" not in learning or not solving:
            return without_copies(played, drop=False)
        # The last pairing is that of the learner with itself, if there is one.
        return self.filling.complete(played, setting, solving[-1])

    # -- who plays whom --------------------------------------------------------------------------------

    def _matches(self, number: int) -> list[Match]:
        """Return who plays how many of the games of a step."""
        config = self.config
        seed = derive_seed(config.seed, "sampling", number)
        present = made_of(self.policies, lambda policy: policy.agent(seed))
        current: dict[str, Any] = {"proposer": present["proposer"], "solver": present["solver"]}
        both = len(config.learning) > 1
        count = config.answers
        if both:
            # Every role that learns has at least one game of its own.
            count = min(max(1, round(config.opponents.share * count)), count - 1)
        left, matches = config.answers, []
        for role in LEARNING_ROLES:
            if self.opponents.names[role] == CURRENT and (both or role in config.learning):
                continue
            rng = derive_rng(config.seed, number, "opponent", role)
            opponent = self.opponents.pick(role, seed, rng)
            pairing = Pairing(
                **{**current, role: opponent.agent},
                answers=min(count, left),
                learning=[other for other in config.learning if other != role],
                reader=opponent.reader,
                opponent=role,
            )
            matches.append(Match(pairing, opponent.version))
            left -= pairing.answers
        if left:
            matches.append(Match(Pairing(**current, answers=left, learning=config.learning)))
        return matches

    def _results(self, played: Rollout, matches: Sequence[Match], step: int) -> dict[str, float]:
        """Remember how the learner did against past weights; return metrics about the opponents."""
        metrics: dict[str, float] = {}
        start = 0
        for pairing, version in matches:
            games = played.games[start : start + pairing.answers * self.config.proposals]
            start += len(games)
            role = pairing.opponent
            if role is None or self.opponents.names[role] == FROZEN:
                continue
            wins = learner_wins(role, [game.outcome for game in games if game.outcome is not None])
            if wins:
                metrics[f"opponents/{role}/win_rate"] = sum(wins) / len(wins)
            if version is not None:
                metrics[f"opponents/{role}/age"] = step - version
                self.opponents.record(role, version, wins)
        return metrics

    # -- checkpoints -----------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Tensor]:
        """Return the past weights of opponents."""
        return self.opponents.state_dict()

    def plain_state(self) -> dict[str, Any]:
        """Return what else is kept between steps, as plain data for JSON."""
        return {
            "opponents": self.opponents.plain_state(),
            "filling": self.filling.plain_state(),
            "hop_mixture": self.hop_mixture.plain_state(),
        }

    def load_state_dict(self, state: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
        """Invert `state_dict` and `plain_state`."""
        self.opponents.load(state, plain["opponents"])
        self.filling.load(plain["filling"])
        self.hop_mixture.load(plain["hop_mixture"])


def learner_wins(opponent: Role, outcomes: Sequence[Outcome]) -> list[float]:
    """Return by game how far the learner won, from 0 to 1, against whoever played a role.

    Against a proposer that is the share of right attempts at a valid question, against a solver the reward of
    the proposal; games that nobody could win are left out.
    """
    if opponent == "proposer":
        return [outcome.success_rate for outcome in outcomes if outcome.success_rate is not None]
    paid = [outcome.rewards[PROPOSER_SEAT] for outcome in outcomes if outcome.verdict != "error"]
    return [min(1.0, max(0.0, reward)) for reward in paid]

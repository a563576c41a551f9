"""Search self-play: who plays whom in a step, and which algorithm learns from it (SSP algorithm 1)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from torch import Tensor

from baselines.algorithms import Algorithm, CombinableAlgorithm, StatefulAlgorithm, build_algorithm
from baselines.batch_filling import Filling, without_copies
from baselines.by_role import LEARNING_ROLES, by_role, distinct, joined, made_of, state_of
from baselines.config import TrainConfig
from baselines.defences import Reader, defended
from baselines.early_warnings import mutual_information
from baselines.hop_mixture import HopMixture
from baselines.learner import Experience, Learner
from baselines.opponents import Opponents
from baselines.policies import CausalLMPolicy
from baselines.processes import Processes
from baselines.rollout import Pairing, Rollout, Setting, play_pairings
from baselines.seeding import derive_rng, derive_seed
from baselines.self_play_config import CURRENT, FROZEN
from baselines.tasks import Source, WorldSource, open_source
from baselines.update_trace import UpdateTrace
from ssp_env.game import Outcome, Role
from ssp_env.game.view import PROPOSER_SEAT
from ssp_env.play import AnyAgent


class Match(NamedTuple):
    """A pairing, and the step that the weights of its opponent are from if they are past ones."""

    pairing: Pairing
    version: int | None = None


class SelfPlay:
    """Two roles that play against each other and learn, of one policy or with one each.

    Args:
        config: Configuration of the run.
        policies: The policy of both roles, or that of each; what learns is trained.
        frozen: The warm start; needed only if `OpponentsConfig.resolved` has it play.
        processes: Those that share the work; only this one if None.

    Attributes:
        policies: By role, who plays it; the solver's policy also reads for the RAG check.
        learners: By role that learns, what changes the weights of its policy; roles that share a policy share
            the learner.
        algorithms: By role that learns.
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
        learner_config = replace(config.learner, seed=derive_seed(config.seed, "learner"))
        self.learners = made_of(
            {role: self.policies[role] for role in config.learning},
            lambda policy: Learner(policy, learner_config, self.processes),
        )
        self.algorithms: dict[Role, Algorithm] = {
            role: build_algorithm(getattr(config, role), learner) for role, learner in self.learners.items()
        }
        self.opponents = Opponents(
            config.opponents, config.learning, self.policies, frozen, config.game, config.temperature
        )
        self.filling = Filling(config.filling)
        self.hop_mixture = HopMixture(config.hops)

    def step(self, number: int, trace: UpdateTrace | None = None) -> tuple[Rollout, dict[str, float]]:
        """Play the games of a step and learn from them; return them, and the metrics of both.

        Args:
            number: Number of the step.
            trace: Gets what the update does with single tokens.
        """
        config = self.config
        for learner in distinct(self.learners).values():
            learner.policy.published(str(number))
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
        learning = config.learning_at(number)
        played = self._completed(played, setting, matches, learning)
        for learner in self.learners.values():
            learner.trace = trace
        metrics = played.metrics | results | self._dependence(played) | self._update(played, learning)
        for learner in self.learners.values():
            learner.trace = None
        return played, metrics

    def _source(self) -> Source:
        """Return where the tasks of a step come from."""
        if self.config.hop_mixture == "adaptive" and isinstance(self.source, WorldSource):
            return replace(self.source, shares=self.hop_mixture.shares())
        return self.source

    def _dependence(self, played: Rollout) -> dict[str, float]:
        """Measure how much proposals depend on their tasks, before the update."""
        learner = self.learners.get("proposer")
        found = None if learner is None else mutual_information(learner, played.samples["proposer"])
        return {} if found is None else {"mutual_information": found}

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

    def _update(self, played: Rollout, roles: Collection[Role]) -> dict[str, float]:
        """Let roles learn from their samples; roles without any wait for the next step."""
        learning = {
            role: algorithm
            for role, algorithm in self.algorithms.items()
            if role in roles and played.samples[role]
        }
        combined: list[Experience] = []
        metrics: dict[str, float] = {}
        for role, algorithm in learning.items():
            samples = played.samples[role]
            if self.config.updates == "combined" and isinstance(algorithm, CombinableAlgorithm):
                weight = getattr(self.config, role).weight
                combined.append(replace(algorithm.experience(samples), weight=weight))
            else:
                metrics |= _named(role, algorithm.update(samples), apart=len(distinct(self.learners)) > 1)
        if combined:
            # Roles with a policy each are updated one by one, so that all of these have one learner.
            metrics |= next(iter(self.learners.values())).fit(combined)
        for name in ("loss", "trained_tokens"):
            metrics[name] = sum(metrics.get(f"{role}/{name}", 0.0) for role in learning)
        metrics["max_ratio_error"] = max(
            (metrics.get(f"{role}/max_ratio_error", 0.0) for role in learning), default=0.0
        )
        return metrics

    def state_dict(self) -> dict[str, Tensor]:
        """Return what is kept between steps besides the weights and the optimiser's moments."""
        state = {
            f"{role}/{name}": tensor
            for role, algorithm in self.algorithms.items()
            if isinstance(algorithm, StatefulAlgorithm)
            for name, tensor in algorithm.state_dict().items()
        }
        references = {
            owner: learner.reference.state_dict()
            for owner, learner in distinct(self.learners).items()
            if learner.reference is not None
        }
        return state | joined({"reference": joined(references), "past": self.opponents.state_dict()})

    def plain_state(self) -> dict[str, Any]:
        """Return what else is kept between steps, as plain data for JSON."""
        return {
            "opponents": self.opponents.plain_state(),
            "filling": self.filling.plain_state(),
            "hop_mixture": self.hop_mixture.plain_state(),
        }

    def load_state_dict(self, state: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
        """Invert `state_dict` and `plain_state`."""
        self.opponents.load(state_of("past", state), plain["opponents"])
        self.filling.load(plain["filling"])
        self.hop_mixture.load(plain["hop_mixture"])
        for role, algorithm in self.algorithms.items():
            if isinstance(algorithm, StatefulAlgorithm):
                algorithm.load_state_dict(state_of(role, state))
        references = state_of("reference", state)
        for owner, learner in distinct(self.learners).items():
            if reference := state_of(owner, references):
                learner.reference = learner.policy.duplicate(trainable=False)
                learner.reference.load_state_dict(reference)


def learner_wins(opponent: Role, outcomes: Sequence[Outcome]) -> list[float]:
    """Return by game how far the learner won, from 0 to 1, against whoever played a role.

    Against a proposer that is the share of right attempts at a valid question, against a solver the reward of
    the proposal; games that nobody could win are left out.
    """
    if opponent == "proposer":
        return [outcome.success_rate for outcome in outcomes if outcome.success_rate is not None]
    paid = [outcome.rewards[PROPOSER_SEAT] for outcome in outcomes if outcome.verdict != "error"]
    return [min(1.0, max(0.0, reward)) for reward in paid]


def _named(role: str, metrics: Mapping[str, float], *, apart: bool) -> dict[str, float]:
    """Put the role before the names of an algorithm's metrics, unless it stands there.

    The norm of the gradient is that of both roles, if they do not have policies that are apart.
    """
    return {
        name if "/" in name or (name == "grad_norm" and not apart) else f"{role}/{name}": value
        for name, value in metrics.items()
    }

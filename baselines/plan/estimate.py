"""Memory, tokens, time and searches of a step on GPUs, from a configuration and what is assumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from baselines.config import TrainConfig
from baselines.plan.hardware import Device
from baselines.policies.memory import ModelSizes, memory_bytes
from ssp_env.objects import check_least

BFLOAT16 = 2
FORWARD, TRAINING, RECOMPUTED = 2, 6, 8
"""Operations a weight and token: forward, forward and backward, and with activations computed again."""


@dataclass(frozen=True)
class Assumed:
    """What nobody knows before the run: how games go, and what share of the peak engines reach.

    Attributes:
        proposer_searches: Searches of a proposal.
        solver_searches: Searches of an attempt.
        turn_tokens: Tokens that a player samples in a turn.
        prompt_tokens: Tokens of the instructions.
        passage_tokens: Tokens of a passage.
        valid: Share of proposals that are valid, where nothing fills the solver's batch.
        training_share: Share of the peak operations that training reaches.
        prefill_share: Share of them that reading prompts reaches.
        bandwidth_share: Share of the peak bandwidth that decoding reaches.
        server_memory_share: Share of a GPU's memory that a server may take.
        straggling: Factor on the time of sampling, because a step waits for its longest games.
    """

    proposer_searches: float = 4.0
    solver_searches: float = 4.0
    turn_tokens: float = 120.0
    prompt_tokens: float = 700.0
    passage_tokens: float = 160.0
    valid: float = 0.5
    training_share: float = 0.35
    prefill_share: float = 0.4
    bandwidth_share: float = 0.6
    server_memory_share: float = 0.6
    straggling: float = 1.5

    def __post_init__(self) -> None:
        for name in ("valid", "training_share", "prefill_share", "bandwidth_share", "server_memory_share"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share above 0 and up to 1, got {getattr(self, name)}")
        if self.straggling < 1:
            raise ValueError(f"straggling is a factor of at least 1, got {self.straggling}")


@dataclass(frozen=True)
class Cluster:
    """The GPUs: all sample, and then all train, as in verl's synchronous mode.

    Attributes:
        device: What each of them is.
        gpus: How many there are.
        tensor_parallel: GPUs that share a server's model.

    Raises:
        ValueError: If the GPUs cannot be divided among servers.
    """

    device: Device
    gpus: int
    tensor_parallel: int = 1

    def __post_init__(self) -> None:
        check_least(1, gpus=self.gpus, tensor_parallel=self.tensor_parallel)
        if self.gpus % self.tensor_parallel:
            raise ValueError(
                f"{self.gpus} GPUs cannot be divided among servers of {self.tensor_parallel} each"
            )

    @property
    def servers(self) -> int:
        """Number of servers that sample."""
        return self.gpus // self.tensor_parallel


@dataclass(frozen=True)
class Conversations:
    """The conversations of one role in a step.

    Attributes:
        count: How many there are.
        sampled: Tokens that are sampled in each.
        length: Tokens of each when it is over, those of prompts and results included.
        searches: Searches in each.
        trained: Whether the role learns from them.
    """

    count: float
    sampled: float
    length: float
    searches: float = 0.0
    trained: bool = False


def conversations(config: TrainConfig, assumed: Assumed) -> dict[str, Conversations]:
    """Return the conversations of a step by role."""
    rules = config.game
    games = config.answers * config.proposals
    result = rules.top_k * assumed.passage_tokens

    def played(count: float, searches: float, role: str) -> Conversations:
        sampled = (searches + 1) * assumed.turn_tokens
        length = assumed.prompt_tokens + searches * result + sampled
        return Conversations(count, sampled, length, searches, role in config.learning)

    found: dict[str, Conversations] = {}
    questions = float(games)
    if not config.source.has_questions:
        found["proposer"] = played(
            games, min(assumed.proposer_searches, rules.proposer.max_searches), "proposer"
        )
        evidence = found["proposer"].searches * result + rules.noise_passages * assumed.passage_tokens
        if rules.probes:
            reading = assumed.prompt_tokens + evidence + assumed.turn_tokens
            found["reader"] = Conversations(games * len(rules.probes), assumed.turn_tokens, reading)
        if config.filling.kind == "smaller":
            questions *= assumed.valid
    searches = min(assumed.solver_searches, rules.solver.max_searches)
    found["solver"] = played(questions * rules.attempts, searches, "solver")
    return found


@dataclass(frozen=True)
class Plan:
    """What a run needs.

    Attributes:
        by_role: Conversations of a step.
        training_memory: Bytes on a GPU while it trains, by what they are for.
        server_weights: Bytes of a server's weights on each of its GPUs.
        games_in_flight: Conversations of mean length that the cache of all servers holds at a time; below 1
            if the weights alone do not fit.
        seconds: Seconds of a step by what they are spent on.
        searches_a_second: Searches that the search server must answer while games are played.
        gpu_hours: Of the whole run.
    """

    by_role: Mapping[str, Conversations]
    training_memory: Mapping[str, int]
    server_weights: float
    games_in_flight: float
    seconds: Mapping[str, float]
    searches_a_second: float
    gpu_hours: float

    @property
    def step_seconds(self) -> float:
        """Seconds of a step."""
        return sum(self.seconds.values())

    def total(self, name: str) -> float:
        """Return a figure of a conversation, added up over the step.

        >>> Plan({"solver": Conversations(10, 5, 50)}, {}, 0, 0, {}, 0, 0).total("sampled")
        50.0
        """
        return float(sum(getattr(each, name) * each.count for each in self.by_role.values()))


def plan(config: TrainConfig, sizes: ModelSizes, cluster: Cluster, assumed: Assumed | None = None) -> Plan:
    """Work out a plan.

    Reading prompts and training are bound by operations, decoding by the bandwidth: each step of it reads the
    weights and the cached keys and values of the games that go on.

    Args:
        config: Configuration of the run.
        sizes: Sizes of the model.
        cluster: The GPUs.
        assumed: How games go, and how well engines use the GPUs.
    """
    assumed = assumed or Assumed()
    sharing = replace(config, model=replace(config.model, sharding="fsdp2"))
    # Servers play, so that no process holds a whole model.
    memory = {
        name: size
        for name, size in memory_bytes(sharing, sizes, cluster.gpus).items()
        if name != "whole model that plays"
    }
    by_role = conversations(config, assumed)
    flying = games_in_flight(sizes, cluster, assumed, by_role)
    sampling = _sampling(sizes, cluster, assumed, by_role, flying)
    seconds = {**sampling, **_learning(config, sizes, cluster, assumed, by_role)}
    games = sum(each.searches * each.count for each in by_role.values())
    played = sum(sampling.values())
    return Plan(
        by_role,
        memory,
        sizes.parameters * BFLOAT16 / cluster.tensor_parallel,
        flying,
        seconds,
        games / played if played else 0.0,
        sum(seconds.values()) * config.steps * cluster.gpus / 3600,
    )


def games_in_flight(
    sizes: ModelSizes, cluster: Cluster, assumed: Assumed, by_role: Mapping[str, Conversations]
) -> float:
    """Return how many conversations of mean length the caches of all servers hold."""
    room = assumed.server_memory_share * cluster.device.memory * cluster.tensor_parallel
    room -= sizes.parameters * BFLOAT16
    count = sum(each.count for each in by_role.values())
    length = sum(each.length * each.count for each in by_role.values()) / count
    return max(0.0, room) / (length * _token_bytes(sizes)) * cluster.servers


def _token_bytes(sizes: ModelSizes) -> float:
    """Return the bytes of a token's keys and values."""
    return 2.0 * sizes.layers * sizes.key_value_size * BFLOAT16


def _sampling(
    sizes: ModelSizes,
    cluster: Cluster,
    assumed: Assumed,
    by_role: Mapping[str, Conversations],
    flying: float,
) -> dict[str, float]:
    """Return the seconds in which games are played; roles follow each other."""
    operations = cluster.gpus * cluster.device.flops * assumed.prefill_share
    bandwidth = cluster.tensor_parallel * cluster.device.bandwidth * assumed.bandwidth_share
    prefill = decode = 0.0
    for each in by_role.values():
        # Earlier turns stay in the cache, so that nothing is read twice.
        prefill += FORWARD * sizes.parameters * (each.length - each.sampled) * each.count / operations
        batch = min(each.count, max(1.0, flying)) / cluster.servers
        cached = batch * each.length / 2 * _token_bytes(sizes)
        rounds = each.sampled * each.count / (batch * cluster.servers)
        decode += rounds * (sizes.parameters * BFLOAT16 + cached) / bandwidth
    return {"reading prompts": prefill * assumed.straggling, "decoding": decode * assumed.straggling}


def _learning(
    config: TrainConfig,
    sizes: ModelSizes,
    cluster: Cluster,
    assumed: Assumed,
    by_role: Mapping[str, Conversations],
) -> dict[str, float]:
    operations = cluster.gpus * cluster.device.flops * assumed.training_share
    tokens = {role: each.length * each.count for role, each in by_role.items() if each.trained}
    per_token = RECOMPUTED if config.model.gradient_checkpointing else TRAINING
    found = {"update": per_token * config.learner.epochs * sum(tokens.values())}
    if config.learner.old_logprobs == "recomputed":
        found["old log-probabilities"] = FORWARD * sum(tokens.values())
    referred = [role for role in tokens if _option(config, role, "kl_coefficient")]
    if referred:
        found["reference"] = FORWARD * sum(tokens[role] for role in referred)
    return {name: count * sizes.parameters / operations for name, count in found.items()}


def _option(config: TrainConfig, role: str, name: str) -> float:
    return float(getattr(config, role).options.get(name, 0))

"""One rollout of self-play: rewards, advantages and metrics of players whose play is known."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from transformers import LlamaForCausalLM

from agents.scripted import ScriptedPlayer
from agents.tiny_policy import TinyPolicy
from baselines.config import TERSE_GAME
from baselines.rollouts.rollout import Rollout, play_rollout
from baselines.rollouts.tasks import WorldSource
from baselines.samples import game_samples
from ssp_env.game import Game, GameConfig, Outcome, Task, TokensMissing
from ssp_env.game.events import ReadingGiven, TurnTaken
from ssp_env.game.passage import Passage
from ssp_env.game.rewards import REWARD_SHAPES, proposer_reward
from ssp_env.scenario import Scenario
from tests.agents.tiny import TOKENIZER

SOURCE = WorldSource("tiny", worlds=4)
GAME = replace(TERSE_GAME, attempts=4, reward="1-acc")


def play(
    player: ScriptedPlayer, config: GameConfig = GAME, *, answers: int = 16, step: int = 0, **options: object
) -> Rollout:
    options = {"source": SOURCE, "seed": 0, "learning": (), **options}
    return play_rollout(config=config, proposer=player, solver=player, answers=answers, step=step, **options)  # type: ignore[arg-type]


def outcomes(played: Rollout) -> list[Outcome]:
    return [game.outcome for game in played.games if game.outcome]


def rewards_of(played: Rollout, proposer: bool) -> list[float]:
    """Rewards of all transcripts of a role in the order of the games."""
    return [
        reward
        for outcome in outcomes(played)
        for seat, reward in outcome.rewards.items()
        if (seat == "proposer_0") == proposer and (proposer or outcome.verdict == "valid")
    ]


# -- known outcomes ------------------------------------------------------------------------------------


def test_a_perfect_solver_earns_all_and_leaves_its_proposer_nothing():
    played = play(ScriptedPlayer(proposer="perfect", solver="perfect"))
    metrics = played.metrics
    assert metrics["valid_rate"] > 0.8
    assert (metrics["solver_reward"], metrics["label_truth"]) == (1.0, 1.0)
    assert metrics["proposer_reward"] == 0.0
    assert metrics["mixed_groups"] == 0.0
    assert metrics["malformed_turns"] == metrics["unsearched_answers"] == metrics["group_variance"] == 0.0
    assert metrics["reader_agreement"] == 1.0


def test_a_hopeless_solver_earns_nothing_and_pays_every_valid_question():
    played = play(ScriptedPlayer(proposer="perfect", solver="hopeless"))
    metrics = played.metrics
    assert metrics["solver_reward"] == metrics["mixed_groups"] == metrics["solver_searches"] == 0.0
    assert metrics["proposer_reward"] == metrics["valid_rate"] > 0.8
    assert metrics["label_truth"] == metrics["unsearched_answers"] == 1.0
    assert metrics["reader_agreement"] == metrics["group_variance"] == 0.0


@pytest.mark.parametrize("hops", [1, 2, 3])
def test_hops_and_searches_are_those_of_the_chain(hops: int):
    played = play(ScriptedPlayer(proposer="perfect", solver="perfect"), source=replace(SOURCE, hops=(hops,)))
    shares = {n: played.metrics[f"asked_{n}_hop"] for n in (1, 2, 3)}
    assert sum(shares.values()) == pytest.approx(1.0)
    assert shares[hops] > 0.8
    assert played.metrics["mean_hops"] == pytest.approx(sum(n * share for n, share in shares.items()))
    # A perfect solver searches once per hop.
    assert played.metrics["solver_searches"] == pytest.approx(played.metrics["mean_hops"])
    assert played.metrics["proposer_searches"] >= 2


@pytest.mark.parametrize(
    ("flaw", "reason"),
    [
        ("no_search", "no_evidence"),
        ("one_search", "too_few_searches"),
        ("same_search", "repeated_search"),
        ("names_answer", "answer_leak"),
        ("too_few_words", "too_few_words"),
        ("wrong_relation", "not_recovered"),
        ("never_asks", "turn_limit"),
    ],
)
def test_an_invalid_question_is_counted_by_its_reason_and_paid_nothing(flaw: str, reason: str):
    played = play(ScriptedPlayer(proposer={flaw: 1.0}), answers=8)
    reasons = Counter(outcome.reason for outcome in outcomes(played))
    assert reasons[reason] >= 5
    for code, count in reasons.items():
        if code not in ("solved", "unsolved"):
            assert played.metrics[f"invalid/{code}"] == count / 8
    invalid = [outcome for outcome in outcomes(played) if outcome.verdict == "invalid"]
    assert played.metrics["valid_rate"] == 1 - len(invalid) / 8
    assert all(outcome.rewards["proposer_0"] == 0.0 for outcome in invalid)


def test_questions_that_pass_without_the_check_but_have_no_such_answer_are_seen():
    player = ScriptedPlayer(proposer={"wrong_relation": 1.0}, solver="perfect")
    metrics = play(player, replace(GAME, rag_check=False)).metrics
    assert metrics["valid_rate"] > 0.8 and metrics["label_truth"] < 0.2
    assert metrics["solver_reward"] == metrics["label_truth"]


def test_the_tokens_of_the_rag_check_count_as_sampled(cloned_model: LlamaForCausalLM, easy_game: GameConfig):
    policy = TinyPolicy(cloned_model, TOKENIZER, seed=5)
    config = replace(easy_game, rag_check=True)
    played = play_rollout(SOURCE, config, proposer=policy, solver=policy, answers=12, seed=1, step=0)
    events = [event for game in played.games for event in game.events]
    read = sum(len(event.reply.token_ids) for event in events if isinstance(event, ReadingGiven))
    told = sum(len(event.reply.token_ids) for event in events if isinstance(event, TurnTaken))
    assert read > 0 and played.metrics["sampled_tokens"] == told + read


# -- experience ----------------------------------------------------------------------------------------

MIXED = ScriptedPlayer(
    proposer={"hops_asked": 0.7, "no_search": 0.3}, solver={"chain": 0.5, "start_entity": 0.5}
)


def test_metrics_of_mixed_play_are_recounted_from_the_outcomes():
    played = play(MIXED, answers=30)
    valid = [outcome for outcome in outcomes(played) if outcome.verdict == "valid"]
    mixed = [outcome for outcome in valid if outcome.success_rate not in (0.0, 1.0)]
    assert 0 < len(mixed) < len(valid) < 30
    metrics = played.metrics
    assert metrics["valid_rate"] == len(valid) / 30
    assert metrics["mixed_groups"] == pytest.approx(len(mixed) / len(valid))
    assert metrics["solver_reward"] == pytest.approx(np.mean(rewards_of(played, proposer=False)))
    rates = np.array([outcome.success_rate for outcome in valid])
    assert metrics["group_variance"] == pytest.approx(np.mean(rates * (1 - rates)))
    assert metrics["reader_agreement"] == pytest.approx(np.mean(rates >= 0.5))
    asked = {outcome.question for outcome in valid}
    assert metrics["distinct_questions"] == len(asked) / len(valid)
    assert metrics["proposer_reward"] == pytest.approx(np.mean(rewards_of(played, proposer=True)))
    solver_searches = sum(outcome.metrics["solver_searches"] for outcome in outcomes(played))
    assert metrics["solver_searches"] == pytest.approx(solver_searches / (4 * len(valid)))


@pytest.mark.parametrize("shape", REWARD_SHAPES)
def test_every_proposal_is_a_sample_the_invalid_ones_too(shape: str):
    played = play(MIXED, replace(GAME, reward=shape), answers=30, learning=())
    by_game = {game.id: game.outcome for game in played.games}
    for game in played.games:
        (proposal,) = [sample for sample in game_samples(game) if sample.role == "proposer"]
        outcome = by_game[proposal.game_id]
        assert outcome is not None
        rate = outcome.success_rate
        assert proposal.reward == pytest.approx(0.0 if rate is None else proposer_reward(shape, rate))
    assert {o.verdict for o in outcomes(played)} == {"valid", "invalid"}


def test_samples_of_a_policy_are_all_proposals_and_all_attempts_at_valid_questions(
    cloned_model: LlamaForCausalLM, easy_game: GameConfig, lenient_scores: None
):
    policy = TinyPolicy(cloned_model, TOKENIZER, seed=5)
    config = replace(easy_game, attempts=2)
    played = play_rollout(SOURCE, config, proposer=policy, solver=policy, answers=12, seed=1, step=0)
    turns = [event for game in played.games for event in game.events if isinstance(event, TurnTaken)]
    for role, samples in played.samples.items():
        seats = [event for event in turns if (event.seat == "proposer_0") == (role == "proposer")]
        assert sum(s.sampled_count for s in samples) == sum(len(event.reply.token_ids) for event in seats)
        assert {sample.role for sample in samples} == {role}
    assert played.metrics["sampled_tokens"] == sum(len(event.reply.token_ids) for event in turns)
    valid = sum(o.verdict == "valid" for o in outcomes(played))
    assert (len(played.samples["proposer"]), len(played.samples["solver"])) == (12, 2 * valid)


def test_several_proposals_for_one_answer_are_a_group(
    cloned_model: LlamaForCausalLM, easy_game: GameConfig, lenient_scores: None
):
    policy = TinyPolicy(cloned_model, TOKENIZER, seed=5)
    played = play_rollout(
        SOURCE, easy_game, proposer=policy, solver=policy, answers=3, proposals=4, seed=1, step=0
    )
    groups = Counter(sample.group for sample in played.samples["proposer"])
    assert sorted(groups.values()) == [4, 4, 4]
    answers: dict[str, set[str]] = defaultdict(set)
    for game in played.games:
        answers[f"answer {game.task.id}"].add(game.task.answer)
    assert set(answers) == set(groups) and all(len(shared) == 1 for shared in answers.values())
    assert len({game.id for game in played.games}) == 12
    # Attempts at different questions are never compared.
    assert {sample.group for sample in played.samples["solver"]} <= {game.id for game in played.games}


def test_a_rollout_without_a_valid_question_has_nothing_for_the_solver():
    played = play(ScriptedPlayer(proposer={"no_search": 1.0}), answers=5, learning=())
    assert (
        played.metrics["valid_rate"] == played.metrics["solver_reward"] == played.metrics["mean_hops"] == 0.0
    )
    assert not played.samples["solver"] and "label_truth" not in played.metrics


def test_players_without_tokens_are_refused_only_if_they_are_to_learn():
    player = ScriptedPlayer(proposer="perfect", solver="perfect")
    with pytest.raises(TokensMissing, match=r"proposer.*token_ids"):
        play(player, answers=2, learning=("proposer",))
    assert play(player, answers=2, learning=()).games


# -- failures ------------------------------------------------------------------------------------------


class Broken:
    """An engine that is down."""

    def search(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        raise ConnectionError("no engine")

    def fingerprint(self) -> str:
        return "broken"


@dataclass(frozen=True)
class HalfBroken:
    """A source that cannot search one of its worlds."""

    source: WorldSource

    def draw(self, rng: np.random.Generator, count: int) -> tuple[list[Task], dict[str, Scenario]]:
        tasks, sites = self.source.draw(rng, count)
        down = next(iter(sites))
        broken = sites[down]
        return tasks, sites | {down: Scenario(broken.config, broken.world, Broken(), "broken")}  # type: ignore[arg-type]


def test_games_that_failed_teach_nothing(
    cloned_model: LlamaForCausalLM, easy_game: GameConfig, lenient_scores: None
):
    policy = TinyPolicy(cloned_model, TOKENIZER, seed=5)
    played = play_rollout(
        HalfBroken(SOURCE),  # type: ignore[arg-type]
        easy_game,
        proposer=policy,
        solver=policy,
        answers=16,
        seed=0,
        step=0,
    )
    failed = {game.id for game in played.games if game.outcome and game.outcome.verdict == "error"}
    assert 0 < len(failed) < 16
    assert len(played.samples["proposer"]) == 16 - len(failed)
    assert not failed & {sample.game_id for samples in played.samples.values() for sample in samples}
    assert played.metrics["invalid/error"] == len(failed) / 16


# -- determinism ---------------------------------------------------------------------------------------


def facts(games: Sequence[Game]) -> list[object]:
    return [game.snapshot() for game in games]


def test_a_round_is_fixed_by_seed_and_step():
    one, same = play(MIXED, seed=3, step=5), play(MIXED, seed=3, step=5)
    assert facts(one.games) == facts(same.games)
    assert one.metrics == same.metrics
    for other in (play(MIXED, seed=4, step=5), play(MIXED, seed=3, step=6)):
        assert not {game.task.corpus for game in one.games} & {game.task.corpus for game in other.games}


def test_games_of_a_round_have_seeds_of_their_own():
    played = play(MIXED)
    assert len({game.snapshot()["seed"] for game in played.games}) == len(played.games)

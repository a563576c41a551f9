"""The warm start: true look-ups in training worlds, weak play to imitate, and a loss that falls."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

from agents.scripted import ScriptedPlayer
from baselines import stages
from baselines.config import TERSE_GAME, preset
from baselines.config.learner import LearnerConfig
from baselines.learner import Learner
from baselines.policies.models import open_model
from baselines.processes import Processes
from baselines.rollouts.tasks import WorldSource, open_source
from baselines.samples import Sample, Segment, collate
from baselines.warm_start import clone, demonstrations, demonstrator, lookup_samples, pages_shown
from ssp_env.worlds import World, WorldConfig, parse_facts, parse_question, world_preset
from tests.agents.tiny import TERSE, TOKENIZER
from tests.baselines.conftest import policy_of
from tests.logprobs import token_logprobs

UNKNOWN = TOKENIZER.unk_token_id


def lookups(seed: int = 0, *, worlds: int = 6, per_world: int = 2, pages: int = 5) -> list[Sample]:
    rng = np.random.default_rng(seed)
    return lookup_samples("tiny", TERSE, TOKENIZER, rng, worlds=worlds, per_world=per_world, pages=pages)


def words_of(segment: Segment) -> str:
    assert UNKNOWN not in segment.token_ids
    return " ".join(TOKENIZER.convert_ids_to_tokens(list(segment.token_ids)))


def pieces(transcript: Sample) -> list[tuple[bool, str]]:
    """The conversation as texts of one origin, sampled or not, in turn."""
    segments = [segment for segment in transcript.segments if segment.token_ids]
    return [(kind, " ".join(map(words_of, run))) for kind, run in groupby(segments, lambda s: s.sampled)]


def shown_pages(transcript: Sample) -> list[str]:
    sampled, opening = pieces(transcript)[0]
    assert not sampled
    before, _, rest = opening.partition(f"<{TERSE.observation}> ")
    observed, _, _ = rest.partition(f" </{TERSE.observation}>")
    assert before == "read "
    return observed.split(" ; ")


def cues_and_results(transcript: Sample) -> list[tuple[str, str]]:
    """Every trained result with the context that calls for it."""
    parts = pieces(transcript)
    cues = [text for sampled, text in parts if not sampled]
    results = [text for sampled, text in parts if sampled]
    cues[0] = cues[0].rpartition(f"</{TERSE.observation}>")[2].strip()
    assert [sampled for sampled, _ in parts] == [False, True] * len(results)
    return list(zip(cues, results))


# -- look-ups ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pages", [2, 5, 8])
def test_only_pages_of_the_training_world_it_is_named_after_are_shown(pages: int):
    for transcript in lookups(pages=pages):
        world = World(WorldConfig.from_id(transcript.game_id))
        assert world.config.split == "train"
        shown = shown_pages(transcript)
        assert len(shown) == len(set(shown)) == pages
        assert set(shown) <= {page.text for page in world.passages()}


def test_what_is_trained_is_recited_from_the_pages_or_follows_from_them():
    kinds: Counter[str] = Counter()
    for transcript in lookups(worlds=15, per_world=4, pages=8):
        shown = shown_pages(transcript)
        known = {(fact.subject, fact.relation): fact.target for fact in parse_facts(" ; ".join(shown))}
        for cue, result in cues_and_results(transcript):
            kind = check_lookup(cue.removeprefix("; "), result, shown, known)
            kinds[kind] += 1
    assert {"recitation", "fact", "unanswerable"} <= set(kinds)
    # Chains of every length, and about a quarter of the questions cannot be answered.
    asked = [kinds[f"question of {hops}"] for hops in (1, 2, 3)]
    written = [kinds[f"asking for {hops}"] for hops in (1, 2, 3)]
    assert min(asked) > 0.15 * sum(asked) and min(written) > 0.15 * sum(written)
    assert 0.15 < kinds["unanswerable"] / (kinds["unanswerable"] + sum(asked)) < 0.35


def check_lookup(cue: str, result: str, shown: Sequence[str], known: dict[tuple[str, str], str]) -> str:
    """Follow a cue through the facts shown; fail if they say something else, else tell its kind."""
    if any(page == f"{cue} {result}" for page in shown):
        return "recitation"
    if cue.startswith("propose "):
        return check_asking(cue, result, known)
    question = parse_question(cue)
    if question is None:
        subject, relation = cue.split()
        assert known[subject, relation] == result
        return "fact"
    trail = [question.entity]
    for relation in reversed(question.relations):
        if (trail[-1], relation) not in known:
            break
        trail.append(known[trail[-1], relation])
    whole = len(trail) > len(question.relations)
    assert TERSE.parse(result, "answer").content == (trail[-1] if whole else "none")
    # What is written down on the way is the chain and nothing else.
    noted = result.partition(f"<{TERSE.answer}>")[0].split()
    assert noted[::3] == trail[:-1] and noted[2::3] == trail[1:]
    if not whole:
        return "unanswerable"
    return f"question of {len(question.relations)}"


def check_asking(cue: str, result: str, known: dict[tuple[str, str], str]) -> str:
    """Follow the question through the facts shown: it leads to the answer in as many hops as wanted."""
    _, hops, _, answer = cue.split()
    question = parse_question(TERSE.parse(result, "question").content)
    assert question is not None and len(question.relations) == int(hops)
    reached, trail = question.entity, []
    for relation in reversed(question.relations):
        trail.append((reached, relation, known[reached, relation]))
        reached = known[reached, relation]
    assert reached == answer
    noted = result.partition(f"<{TERSE.question}>")[0].split()
    assert noted[::4] == [answer, *(subject for subject, _, _ in reversed(trail))]
    assert noted[2::4] == [relation for _, relation, _ in reversed(trail)]
    return f"asking for {hops}"


def test_two_of_the_pages_shown_are_recited_and_not_always_the_first():
    places = set()
    for transcript in lookups(worlds=15):
        shown = shown_pages(transcript)
        said = {f"{cue.removeprefix('; ')} {result}" for cue, result in cues_and_results(transcript)}
        recited = [place for place, page in enumerate(shown) if page in said]
        assert len(recited) == 2
        places.update(recited)
    assert places == set(range(5))


def test_lookups_are_fixed_by_the_generator_and_never_come_from_one_world_alone():
    assert lookups(1) == lookups(1) != lookups(2)
    assert len({transcript.game_id for transcript in lookups(3, worlds=6)}) == 6


def test_more_pages_are_shown_as_practice_goes_on():
    shown = [pages_shown(step / 100) for step in range(101)]
    assert shown == sorted(shown)
    assert 2 <= shown[0] < shown[-1] <= len(World(world_preset("tiny")))


# -- demonstrations ------------------------------------------------------------------------------------


def demos(player: ScriptedPlayer | None = None, seed: int = 0, games: int = 40) -> list[Sample]:
    source = WorldSource("tiny", worlds=8)
    config = replace(TERSE_GAME, attempts=2)
    rng = np.random.default_rng(seed)
    return demonstrations(source, player or ScriptedPlayer(), config, TOKENIZER, rng, games=games)


def openings(transcripts: Sequence[Sample]) -> list[str]:
    return [pieces(transcript)[0][1] for transcript in transcripts]


def test_demonstrations_show_all_roles_in_the_protocol():
    shown = demos()
    roles = Counter(opening.split()[0] for opening in openings(shown))
    assert set(roles) == {"propose", "solve", "read"}
    assert min(roles.values()) > 10 and roles["propose"] == 40
    for transcript in shown:
        (opened_by, opening), *turns = pieces(transcript)
        assert not opened_by and [sampled for sampled, _ in turns] == [True, False] * (len(turns) // 2) + [
            True
        ]
        for sampled, text in turns:
            if sampled:
                final = "question" if opening.startswith("propose") else "answer"
                assert TERSE.parse(text, final).kind != "malformed"  # type: ignore[arg-type]
            else:
                assert text.startswith(f"<{TERSE.observation}>") and text.endswith(f"</{TERSE.observation}>")


def hops_and_searches(transcripts: Sequence[Sample], role: str) -> list[tuple[int, int]]:
    """Hops of the question asked or solved, and searches made, of every conversation of a role."""
    result = []
    for transcript in transcripts:
        (_, opening), *turns = pieces(transcript)
        if opening.startswith(role):
            asked = TERSE.parse(turns[-1][1], "question").content
            question = parse_question(asked if role == "propose" else opening.removeprefix("solve "))
            searches = sum(f"</{TERSE.search}>" in text for sampled, text in turns if sampled)
            result.append((len(question.relations) if question else 0, searches))
    return result


def share_of_chains_cut_short(transcripts: Sequence[Sample]) -> float:
    """Share of questions of several hops that the solver answers without a search per hop."""
    chains = [(hops, searches) for hops, searches in hops_and_searches(transcripts, "solve") if hops > 1]
    assert len(chains) > 10
    return sum(searches < hops for hops, searches in chains) / len(chains)


def test_demonstrations_contain_weak_play():
    """Chains cut short and mostly questions of one hop, whatever was asked for: what is left to learn."""
    shown = demos(games=120)
    assert 0.2 < share_of_chains_cut_short(shown) < 0.95
    asked_for = Counter(opening.split()[1] for opening in openings(shown) if opening.startswith("propose"))
    proposed = Counter(hops for hops, _ in hops_and_searches(shown, "propose"))
    assert asked_for["1"] < 60 < proposed[1]


def test_strong_players_would_be_seen_to_be_strong():
    """The measure of the test above is not blind."""
    shown = demos(ScriptedPlayer(proposer="perfect", solver="perfect"), games=60)
    assert share_of_chains_cut_short(shown) < 0.1
    assert sum(hops > 1 for hops, _ in hops_and_searches(shown, "propose")) > 20


def as_many_as_asked(transcripts: Sequence[Sample]) -> float:
    """Share of the proposals asked for three hops that have three."""
    wanted = [opening.split()[1] for opening in openings(transcripts) if opening.startswith("propose")]
    found = [hops for hops, _ in hops_and_searches(transcripts, "propose")]
    asked = [hops for hops, number in zip(found, wanted, strict=True) if number == "3"]
    return sum(hops == 3 for hops in asked) / len(asked)


def test_a_share_of_the_proposals_has_as_many_hops_as_are_asked_for():
    shares = [as_many_as_asked(demos(demonstrator(share, 5), games=120)) for share in (0.0, 0.5, 1.0)]
    assert shares[0] < 0.25 < shares[1] < 0.75 < shares[2]
    # The solver stays weak.
    assert share_of_chains_cut_short(demos(demonstrator(1.0, 5), games=60)) > 0.2
    assert demos(demonstrator(0.0, 5), games=6) == demos(ScriptedPlayer(seed=5), games=6)
    with pytest.raises(ValueError, match=r"a share from 0 to 1, got 1\.5"):
        preset("tiny").changed({"warm_start": {"hops_as_asked": 1.5}})


def test_demonstrations_are_fixed_by_the_generator():
    assert demos(seed=1, games=6) == demos(seed=1, games=6) != demos(seed=2, games=6)


# -- cloning -------------------------------------------------------------------------------------------


def reference_loss(model: LlamaForCausalLM, transcripts: Sequence[Sample]) -> float:
    """Mean negative log-likelihood of the sampled tokens, one conversation at a time."""
    values: list[float] = []
    for transcript in transcripts:
        batch = collate([transcript])
        with torch.no_grad():
            logprobs = token_logprobs(model(input_ids=batch.ids).logits, batch.ids)
        values += (-logprobs[batch.mask]).tolist()
    return float(np.mean(values))


@pytest.mark.parametrize("micro_batch_tokens", [1, 300, 10**6])
def test_the_loss_is_the_mean_over_sampled_tokens_whatever_the_micro_batches(
    learner: LlamaForCausalLM, micro_batch_tokens: int
):
    shown = [*demos(games=4), *lookups(worlds=1)]
    expected = reference_loss(learner, shown)
    options = LearnerConfig(learning_rate=1e-9, micro_batch_tokens=micro_batch_tokens)
    metrics = clone(Learner(policy_of(learner), options), shown)
    assert metrics["loss"] == pytest.approx(expected, rel=1e-4)
    assert metrics["grad_norm"] > 0


@pytest.mark.parametrize("kind", ["lookups", "demonstrations"])
def test_a_few_steps_lower_the_loss_on_what_is_shown(learner: LlamaForCausalLM, kind: str):
    shown = lookups(worlds=2) if kind == "lookups" else demos(games=8)
    before = reference_loss(learner, shown)
    update = Learner(policy_of(learner), LearnerConfig(learning_rate=3e-3))
    losses = [clone(update, shown)["loss"] for _ in range(6)]
    assert losses[0] == pytest.approx(before, rel=1e-4)
    assert losses == sorted(losses, reverse=True)
    assert reference_loss(learner, shown) < before - 0.05


def test_demonstrated_games_have_one_reading_and_the_attempts_of_the_warm_start(tmp_path, monkeypatch):
    rules = replace(TERSE_GAME, second_reading=True)
    config = replace(preset("smoke"), game=rules)
    seen = []

    def demonstrated(source, player, game, tokenizer, rng, *, games):
        seen.append(game)
        return demonstrations(source, player, game, tokenizer, rng, games=games)

    monkeypatch.setattr(stages, "demonstrations", demonstrated)
    source = open_source(config.source, config.world, config.hops, config.game)
    opened = open_model(config, tmp_path)
    stages.WarmStart(config, opened, source, Processes()).cloning().step(0)
    attempts = config.warm_start.cloning_attempts
    assert seen == [replace(rules, second_reading=False, attempts=attempts)]

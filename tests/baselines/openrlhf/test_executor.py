"""OpenRLHF's rollout actor plays our games: tokens, ranges and rewards are those of the same games alone."""

import asyncio
import importlib
import json
import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("openrlhf", reason="needs OpenRLHF 0.11 and what it imports: make adapters")
sys.path.insert(0, str(Path(__file__).parent / "stand_in"))

import vllm
from openrlhf.trainer.ppo_utils.samples_generator import SamplesGenerator
from openrlhf.trainer.ray.vllm_engine import RolloutRayActor, _load_agent_executor

import baselines.openrlhf
from agents.conversation_tokens import ConversationTokens
from baselines.openrlhf import game_executor, game_rows
from ssp_env import open_scenario
from ssp_env.game import PROTOCOLS, Game
from ssp_env.game.trajectory import trajectories
from ssp_env.integrations import libraries
from ssp_env.play import play
from ssp_env.search.shared import SharedEngine
from tests.baselines.openrlhf.script import PHRASES, SCENARIO, Script, tokenizer
from tests.markdown import ROOT, blocks, expected_output

pytestmark = pytest.mark.filterwarnings("default")
TOKENIZER = tokenizer()
OPENED = open_scenario(**SCENARIO)
ANSWERS = {json.loads(row["label"])["trains"]: row for row in list(game_rows(OPENED))[:2]}
KNOWN = next(game_rows(OPENED, tasks=OPENED.questions))
TASK = OPENED.tasks[0]


def actor(executor=None):
    """OpenRLHF's actor without Ray, on the engine that stands in for vLLM."""
    made = object.__new__(RolloutRayActor.__ray_metadata__.modified_class)
    made.executor = (executor or game_executor(SCENARIO, max_new_tokens=300))()
    made.llm, made._mm_pad_token_ids = vllm.AsyncLLMEngine(), None
    return made


def samples(row, count=3, *, made=None, max_length=6000, **sampling):
    """What the actor gives for a row."""
    params = vllm.SamplingParams(**{"temperature": 0.6, "min_tokens": 1, "logprobs": 1} | sampling)
    made = made or actor()
    asked = {"prompt": row["input"], "label": row["label"], "hf_tokenizer": TOKENIZER}
    return asyncio.run(
        made.generate_responses(sampling_params=params, max_length=max_length, num_samples=count, **asked)
    )


class Alone:
    """A player of ours that says the same without OpenRLHF."""

    def __init__(self):
        self.script = Script()
        self.tokens = ConversationTokens(TOKENIZER, protocol=PROTOCOLS["default"], max_prompt_tokens=20_000)

    def act(self, view):
        prompt = self.tokens.prompt(view)
        said = self.script.unsaid(TOKENIZER, prompt.token_ids)
        ends = (end for end in range(1, len(said) + 1) if self.tokens.is_finished(view, said[:end]))
        ids = said[: next(ends)]
        return self.tokens.reply(view, prompt, ids, [vllm.logprob(id_) for id_ in ids])


def alone(task, count=1, **rules):
    """Trajectories of the same games, played by our own driver one after another."""
    player, engine = Alone(), SharedEngine(OPENED.engine)
    games = [Game(task, OPENED.rules.changed(rules), number, f"{number}") for number in range(count)]
    for game in games:
        play([game], proposer=player, solver=player, search=engine)
    return [trajectories(game) for game in games]


def as_tuple(found):
    mask = [0] * len(found.prompt_ids) + list(found.response_mask)
    logprobs = [0.0] * len(found.prompt_ids) + list(found.response_logprobs)
    return [*found.prompt_ids, *found.response_ids], mask, logprobs, found.reward


def sample_tuple(sample):
    mask = [0] * len(sample["observation_tokens"])
    for start, end in sample["action_ranges"]:
        mask[start:end] = [1] * (end - start)
    return sample["observation_tokens"], mask, sample["rollout_log_probs"], sample["reward"]


# -- what is trained ---------------------------------------------------------------------------------------


def test_samples_of_a_proposers_row_are_proposals_for_one_answer():
    found = samples(ANSWERS["proposer"])
    ours = alone(TASK, count=3)
    assert [sample_tuple(each) for each in found] == [as_tuple(each[0]) for each in ours]
    assert [each["reward"] for each in found] == [pytest.approx(1 / 3), pytest.approx(1 / 3), 0.0]
    assert [each["extra_logs"] for each in found] == [
        {"valid": valid, "proposer": 1.0} for valid in (1.0, 1.0, 0.0)
    ]
    assert all(len(each["action_ranges"]) == 2 and not each["truncated"] for each in found)
    said = TOKENIZER.decode(found[0]["observation_tokens"])
    assert PHRASES[0].format(TASK.answer[::-1]) in said and "and then some" not in said


def test_samples_of_a_solvers_row_are_attempts_at_one_question_that_is_proposed_first():
    made = actor()
    found = samples(ANSWERS["solver"], made=made)
    [(_, *attempts)] = alone(TASK)
    assert [sample_tuple(each) for each in found] == [as_tuple(each) for each in attempts]
    assert [each["reward"] for each in found] == [1.0, 0.0, 1.0]
    readings = [ids for ids, _ in made.llm.calls if "documents below" in TOKENIZER.decode(ids)]
    assert len(readings) == 1 and not made.executor._shared


def test_samples_after_an_invalid_question_are_its_proposal():
    made = actor()
    samples(ANSWERS["proposer"], count=2, made=made)
    found = samples(ANSWERS["solver"], made=made)
    proposal = as_tuple(alone(TASK, count=3)[2][0])
    assert [sample_tuple(each) for each in found] == [proposal] * 3
    assert {each["reward"] for each in found} == {0.0}


def test_samples_of_a_known_question_are_attempts_of_one_game_each():
    found = samples(KNOWN)
    ours = [each for (each,) in alone(OPENED.questions[0], count=3, attempts=1)]
    assert [sample_tuple(each) for each in found] == [as_tuple(each) for each in ours]
    assert [each["reward"] for each in found] == [1.0, 0.0, 1.0]


def test_a_turn_is_stopped_at_tags_and_goes_on_where_that_was_inside_a_thought():
    made = actor()
    params = vllm.SamplingParams(temperature=0.7, max_tokens=200, logprobs=None)
    found = asyncio.run(
        made.generate_responses("", ANSWERS["proposer"]["label"], params, 6000, TOKENIZER, num_samples=1)
    )
    assert found[0]["rollout_log_probs"] is None
    (first, asked), (second, again) = made.llm.calls[:2]
    assert TOKENIZER.decode(second[len(first) :]) == "<think>no 0 </search>"
    assert asked.stop == ["</search>", "</question>"] and asked.include_stop_str_in_output
    assert asked.stop_token_ids == [TOKENIZER.eos_token_id]
    assert (asked.temperature, asked.max_tokens, again.max_tokens) == (
        0.7,
        200,
        200 - len(second) + len(first),
    )
    assert params.stop is None and params.max_tokens == 200


# -- what OpenRLHF makes of it -----------------------------------------------------------------------------


def experience(sample):
    generator = object.__new__(SamplesGenerator)
    return generator._process_response_into_experience(sample, max_len=6000)


def test_experience_has_our_masks_log_probabilities_and_rewards():
    found = samples(ANSWERS["solver"])
    [(_, *attempts)] = alone(TASK)
    for made, ours in zip(map(experience, found), attempts, strict=True):
        tokens, mask, logprobs, reward = as_tuple(ours)
        assert made.sequences.tolist() == [tokens]
        assert made.action_mask.tolist() == [mask[1:]]
        assert made.rollout_log_probs.tolist() == [logprobs[1:]]
        assert made.rewards.tolist() == made.scores.tolist() == [reward]
        assert set(made.info) == {"response_clip_ratio", "reward", "score", "valid", "proposer"}


# -- limits ------------------------------------------------------------------------------------------------


def test_a_conversation_that_fills_the_window_ends_with_what_it_sampled():
    [ours] = alone(OPENED.questions[0], attempts=1)
    tokens, mask, _, _ = as_tuple(ours[0])
    first = mask.index(0, mask.index(1))
    [found] = samples(KNOWN, count=1, max_length=first + 2)
    assert sample_tuple(found)[:2] == (tokens[:first], mask[:first])
    assert found["reward"] == 0.0 and found["truncated"]


def test_a_prompt_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"prompt of proposer_0 .* has \d+ tokens.*raise --data.max_len"):
        samples(ANSWERS["proposer"], max_length=500)


# -- what goes wrong ---------------------------------------------------------------------------------------


def test_a_game_whose_search_or_engine_breaks_down_is_paid_to_nobody():
    lost = SCENARIO | {"search": "tests.baselines.openrlhf.test_executor:broken"}
    for row in (KNOWN, ANSWERS["solver"], ANSWERS["proposer"]):
        with pytest.raises(RuntimeError, match=r"the game failed: search for .*no search"):
            samples(row, made=actor(game_executor(lost)))
    made = actor()
    made.llm.finish_reason = "abort"
    with pytest.raises(RuntimeError, match=r"the engine gave a turn of .* up: abort"):
        samples(KNOWN, made=made)


def broken(query):
    raise TimeoutError("no search")


@pytest.mark.parametrize("count", [2, 4])
def test_a_row_with_more_or_fewer_samples_than_attempts_is_refused(count):
    with pytest.raises(ValueError, match=rf"must be --rollout.n_samples_per_prompt, got 3 and {count}"):
        samples(ANSWERS["solver"], count=count)


@pytest.mark.parametrize(
    "label", ["", "Tavor", "{}", None, '{"answer": "a", "trains": "judge", "aliases": []}']
)
def test_a_row_of_other_data_is_refused(label):
    with pytest.raises(ValueError, match=r"expected a label that baselines\.openrlhf\.game_rows wrote"):
        samples({"input": "", "label": label})


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ('game_executor({"hops": [1]})', "expected the scenario to name what is searched"),
        ('game_executor({"wolrd": "tiny", "search": "bm25"})', "did you mean 'world'"),
        ('game_executor({"world": "tiny", "rules": {"judge": True}})', "the rules ask a judge"),
        ('game_executor({"world": "tiny"}, max_new_tokens=0)', "max_new_tokens must be at least 1"),
        ('game_executor({"world": "tiny"}, rendering="chatty")', "rendering must be 'chat' or 'plain'"),
        ('game_executor({"world": "tiny"}, reader="nowhere:reader")', "nowhere"),
    ],
)
def test_what_cannot_be_played_is_refused_when_openrlhf_loads_the_file(tmp_path, made, said):
    path = tmp_path / "agent.py"
    path.write_text(f"from baselines.openrlhf import game_executor\n\nAgentExecutor = {made}\n")
    with pytest.raises(Exception, match=re.escape(said)):
        _load_agent_executor(str(path))


def test_openrlhf_loads_the_file(tmp_path):
    path = tmp_path / "agent.py"
    path.write_text(
        "from baselines.openrlhf import game_executor\n\n"
        f"AgentExecutor = game_executor({SCENARIO!r}, max_new_tokens=300)\n"
    )
    loaded = type(_load_agent_executor(str(path)))
    assert [each["reward"] for each in samples(KNOWN, made=actor(loaded))] == [1.0, 0.0, 1.0]


def test_rows_without_anything_to_ask_are_refused():
    with pytest.raises(ValueError, match="there is nothing to ask for"):
        list(game_rows(OPENED, ["proposer"], tasks=OPENED.questions))


def test_another_version_is_named_with_the_tested_one(monkeypatch):
    monkeypatch.setattr(libraries, "version", lambda name: "0.12.0")
    said = re.escape("expected openrlhf>=0.11,<0.12 (tested: 0.11.2), got openrlhf 0.12.0")
    with pytest.raises(libraries.UnsupportedVersionError, match=said):
        importlib.reload(baselines.openrlhf)


def test_the_examples_in_docs_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shown = [block for block in blocks(ROOT / "docs" / "frameworks.md", "python") if "openrlhf" in block]
    for example in shown:
        exec(example, {"__name__": "example"})
        assert expected_output(example) == capsys.readouterr().out.splitlines()
    assert len(shown) == 2

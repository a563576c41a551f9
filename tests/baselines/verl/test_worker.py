"""What verl's trainer gets: every seat's own reward in its own group, and the advantages of our trainer."""

import asyncio
from types import SimpleNamespace

import pytest

pytest.importorskip("transfer_queue", reason="needs verl 0.9 and what it imports: make parity")

import torch
import transfer_queue
from omegaconf import OmegaConf
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.trainer_base import PPOTrainer
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

from baselines import GRPO, CausalLMPolicy, Learner, LearnerConfig, Reinforce, ReinforceConfig
from baselines.samples import game_samples
from baselines.verl.dataset import AnswerDataset
from baselines.verl.worker import GameAgentLoopWorker
from tests.agents import chatty
from tests.baselines.verl.rollouts import (
    ScriptedPlayer,
    ScriptedServer,
    configuration,
    played_without_verl,
    run,
    tokenizer,
)

pytestmark = pytest.mark.filterwarnings("default")
TOKENIZER = tokenizer()


class Queue:
    """What `transfer_queue` stores, in this process."""

    def __init__(self, monkeypatch):
        self.fields, self.tags = {}, {}
        monkeypatch.setattr(transfer_queue, "async_kv_batch_put", self.put_later)
        monkeypatch.setattr(transfer_queue, "kv_batch_put", self.put)
        monkeypatch.setattr(transfer_queue, "kv_batch_get", self.get)

    async def put_later(self, **given):
        self.put(**given)

    def put(self, keys, partition_id, fields=None, tags=None):
        for place, key in enumerate(keys):
            row = self.fields.setdefault(key, {})
            for name in fields.keys() if fields is not None else ():
                value = fields.get(name)[place]
                row[name] = getattr(value, "data", value) if not torch.is_tensor(value) else value
            if tags:
                self.tags[key] = (partition_id, tags[place])
        return KVBatchMeta(keys=list(keys), partition_id=partition_id, tags=[{}] * len(keys))

    def get(self, keys, partition_id, select_fields):
        known = [name for name in select_fields if name in self.fields[keys[0]]]
        return list_of_dict_to_tensordict([{name: self.fields[key][name] for name in known} for key in keys])


def worker():
    """A worker without what its constructor connects to."""
    made = object.__new__(GameAgentLoopWorker)
    made.reward_loop_worker_handles = None
    made.distillation_enabled = False
    made.processor = None
    return made


def stored(queue, config, rows):
    """Play rows in verl, and let the worker store their outputs."""
    for row in rows:
        server = ScriptedServer(TOKENIZER, row["extra_info"]["task"]["answer"])
        outputs = run(config, server, TOKENIZER, row)
        asyncio.run(worker()._agent_loop_postprocess(outputs, False, **row, global_steps=7))


def rows_of(config, count=2, sessions=1):
    data = AnswerDataset("answers", TOKENIZER, config.data)
    return [
        {**data[index], "uid": f"u{index}", "session_id": session}
        for index in range(count)
        for session in range(sessions)
    ]


def games_of(config, rows):
    return [
        played_without_verl(config, row, ScriptedPlayer(TOKENIZER, row["extra_info"]["task"]["answer"]))
        for row in rows
    ]


def test_every_output_keeps_its_reward_and_has_a_key_of_its_own(monkeypatch):
    queue, config = Queue(monkeypatch), configuration()
    rows = rows_of(config, sessions=2)
    stored(queue, config, rows)
    samples = [sample for game in games_of(config, rows) for sample in game_samples(game)]
    assert len(queue.fields) == len(samples) == 16
    for (key, row), sample in zip(queue.fields.items(), samples, strict=True):
        assert key.split("_")[0] == sample.game_id.split("/")[0]
        assert len(key.split("_")) == 3 and key.endswith("_0")
        assert row["uid"] == sample.group
        assert row["rm_scores"].sum().item() == pytest.approx(sample.reward)
        assert row["rm_scores"][row["response_mask"] == 0].sum() == 0
        assert (*row["prompts"].tolist(), *row["responses"].tolist()) == tuple(
            token for segment in sample.segments for token in segment.token_ids
        )
        assert tuple(row["loss_mask"].tolist()) == sample.response_mask
        assert row["rollout_log_probs"].tolist() == pytest.approx(sample.response_logprobs)
        assert queue.tags[key][1]["max_global_steps"] == 7
    rewards = {round(row["rm_scores"].sum().item(), 3) for row in queue.fields.values()}
    assert rewards == {0.0, 0.333, 0.667, 1.0}


def learner():
    model = chatty.build_model(len(TOKENIZER))
    return Learner(CausalLMPolicy(model, lambda model, seed, version: None), LearnerConfig())


@pytest.mark.parametrize("proposals", [1, 2])
def test_advantages_in_verls_trainer_are_those_of_ours(monkeypatch, proposals):
    queue, config = Queue(monkeypatch), configuration()
    rows = rows_of(config, sessions=proposals)
    stored(queue, config, rows)
    samples = [sample for game in games_of(config, rows) for sample in game_samples(game)]
    algorithm = {"adv_estimator": "ssp", "use_kl_in_reward": False, "gamma": 1.0, "lam": 1.0}
    trainer = SimpleNamespace(
        config=OmegaConf.create({"algorithm": algorithm, "actor_rollout_ref": {"rollout": {"n": proposals}}})
    )
    batch = KVBatchMeta(keys=list(queue.fields), partition_id="train", tags=[{}] * len(queue.fields))
    PPOTrainer._compute_advantage(trainer, batch, {})
    theirs = [queue.fields[key]["advantages"] for key in batch.keys]

    for role in ("solver", "proposer"):
        places = [place for place, sample in enumerate(samples) if sample.role == role]
        played = [samples[place] for place in places]
        alone = role == "proposer" and proposals == 1
        ours = Reinforce(learner(), ReinforceConfig(baseline="none")) if alone else GRPO(learner())
        experience = ours.experience(played)
        for row, place in enumerate(places):
            sampled = experience.batch.mask[row]
            expected = experience.batch["advantages"][row][sampled]
            mask = torch.tensor(samples[place].response_mask, dtype=torch.bool)
            torch.testing.assert_close(theirs[place][mask].float(), expected, rtol=1e-6, atol=1e-7)
            assert not theirs[place][~mask].any()
        assert all(theirs[place].any() for place in places)


def test_a_game_that_failed_stores_nothing_and_validation_has_a_partition_of_its_own(monkeypatch):
    queue, config = Queue(monkeypatch), configuration()
    (row,) = rows_of(config, count=1)
    asyncio.run(worker()._agent_loop_postprocess([], False, **row, global_steps=7))
    assert not queue.fields
    server = ScriptedServer(TOKENIZER, row["extra_info"]["task"]["answer"])
    outputs = run(config, server, TOKENIZER, row)
    asyncio.run(worker()._agent_loop_postprocess(outputs, True, **row, global_steps=7))
    assert {partition for partition, _ in queue.tags.values()} == {"val"}

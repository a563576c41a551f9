"""The manager on a real Ray and a real TransferQueue: what its workers store is what we play."""

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("transfer_queue", reason="needs verl 0.9 and what it imports: make parity")

import ray
import transfer_queue
from hydra import compose, initialize_config_dir
from verl.utils import tensordict_utils
from verl.utils.dataset.rl_dataset import collate_fn

import baselines.verl
from baselines.verl.dataset import AnswerDataset
from baselines.verl.worker import GameAgentLoopManager
from ssp_env.game.trajectory import trajectories
from tests.agents import chatty
from tests.baselines.verl.rollouts import (
    RULES,
    ScriptedPlayer,
    ScriptedServer,
    played_without_verl,
    tokenizer,
)
from tests.markdown import ROOT

pytestmark = pytest.mark.filterwarnings("default")
FIELDS = ("uid", "prompts", "responses", "response_mask", "rm_scores")
PATIENCE = 300
"""Seconds for games that take two; a busy machine starts Ray's processes slowly."""


class Servers:
    """One scripted server for each answer; it travels to the actors, and makes its tokenizer there."""

    def __init__(self, answers):
        self.answers, self.made = answers, {}

    async def generate(self, request_id, **asked):
        uid = request_id.partition("/")[0]
        if uid not in self.made:
            self.made[uid] = ScriptedServer(tokenizer(), self.answers[uid])
        return await self.made[uid].generate(request_id, **asked)


@pytest.fixture
def config(tmp_path):
    """The paper's configuration with a small model, over a generated world."""
    words = tokenizer()
    words.save_pretrained(tmp_path)
    chatty.build_model(len(words)).save_pretrained(tmp_path)
    changes = {
        "data.train_files": "answers",
        "data.val_files": "questions",
        "data.max_prompt_length": 9000,
        "data.max_response_length": 4000,
        "actor_rollout_ref.model.path": tmp_path,
        "actor_rollout_ref.model.use_remove_padding": False,
        "actor_rollout_ref.rollout.agent.num_workers": 2,
    }
    folder = str(Path(baselines.verl.__file__).parent / "config")
    with initialize_config_dir(config_dir=folder, version_base=None):
        made = compose("ssp_qwen2.5_7b", [f"{name}={value}" for name, value in changes.items()])
    scenario = {"world": "tiny", "hops": [1], "prompts": "english", "rules": RULES}
    made.data.ssp = {"scenario": scenario, "max_new_tokens": 300}
    return made


@pytest.fixture
def cluster(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    path = os.pathsep.join([str(ROOT), *(os.path.abspath(entry) for entry in sys.path if entry)])
    environment = {"env_vars": {"PYTHONPATH": path, "RAY_AUTH_MODE": "disabled"}}
    # verl's parts reserve more cores than a small machine has.
    ray.init(num_cpus=24, include_dashboard=False, object_store_memory=200 * 2**20, runtime_env=environment)
    transfer_queue.init()
    yield
    transfer_queue.close()
    ray.shutdown()


def finished(uids):
    """Wait until all games are stored; return what is known of each key."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        known = transfer_queue.kv_list("train")["train"]
        if all(known.get(uid, {}).get("status") in ("finished", "failure") for uid in uids):
            return known
        time.sleep(0.2)
    raise AssertionError(f"no games within {PATIENCE} seconds: {known}")


def test_what_workers_store_is_what_we_play(config, cluster):
    words, uids = tokenizer(), ["a" * 32, "b" * 32, "c" * 32]
    data = AnswerDataset("answers", words, config.data)
    rows = [data[place] for place in range(len(uids))]
    answers = [row["extra_info"]["task"]["answer"] for row in rows]
    batch = {**collate_fn(rows), "uid": np.array(uids, dtype=object)}
    tensors = tensordict_utils.get_tensordict(batch)
    tensordict_utils.assign_non_tensor_data(tensors, "global_steps", 1)
    servers = Servers(dict(zip(uids, answers, strict=True)))
    manager = GameAgentLoopManager.create(config=config, llm_client=servers)
    pending = {"is_prompt": True, "status": "pending", "global_steps": 1}
    transfer_queue.kv_batch_put(keys=uids, partition_id="train", tags=[pending] * len(uids))
    manager.generate_sequences(tensors)
    known = finished(uids)
    assert {known[uid]["status"] for uid in uids} == {"finished"}
    keys = [key for key in known if "_" in key]
    stored = transfer_queue.kv_batch_get(keys=keys, partition_id="train", select_fields=list(FIELDS))
    group, *columns = (stored[name] for name in FIELDS)
    rows_of = [[tuple(row.tolist()) for row in column.unbind()] for column in columns]
    theirs = sorted(
        zip(list(group), *rows_of[:3], [round(sum(scores), 4) for scores in rows_of[3]], strict=True)
    )
    ours = []
    for uid, row, answer in zip(uids, rows, answers, strict=True):
        player = ScriptedPlayer(words, answer)
        game = played_without_verl(config, {**row, "uid": uid, "session_id": 0}, player)
        ours += [
            (each.group, each.prompt_ids, each.response_ids, each.response_mask, round(each.reward, 4))
            for each in trajectories(game)
        ]
    assert len(theirs) == 12 and theirs == sorted(ours)

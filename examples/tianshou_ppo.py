"""PPO of Tianshou learns to search in numbers: `python examples/tianshou_ppo.py`."""

from functools import partial

import gymnasium
import numpy as np
import torch
from heldout import at_random, solved
from tianshou.algorithm import PPO
from tianshou.algorithm.modelfree.reinforce import DiscreteActorPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.trainer import OnPolicyTrainerParams
from tianshou.utils.net.common import Net
from tianshou.utils.net.discrete import DiscreteActor, DiscreteCritic

import ssp_env  # noqa: F401  (registers the environments)

GAME = {"hops": (1,), "entities": 6}

if __name__ == "__main__":
    print(f"random actions: {solved(at_random, **GAME):.3f}", flush=True)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  (Tianshou shuffles by it)
    infos = {"numeric_infos": True, "fill_value": -1.0}
    make = partial(gymnasium.make, "SearchSelfPlay/NumericSolver-v1", worlds=60, **infos, **GAME)
    envs = DummyVectorEnv([make] * 8)
    envs.seed(0)
    trunk = partial(Net, state_shape=envs.observation_space[0].shape, hidden_sizes=[64, 64])
    actor = DiscreteActor(preprocess_net=trunk(), action_shape=envs.action_space[0].n, softmax_output=False)
    policy = DiscreteActorPolicy(actor=actor, action_space=envs.action_space[0], deterministic_eval=True)
    critic, adam = DiscreteCritic(preprocess_net=trunk()), AdamOptimizerFactory(2e-3)
    learner = PPO(policy=policy, critic=critic, optim=adam, gamma=1.0, ent_coef=0.02)
    collector = Collector(learner, envs, VectorReplayBuffer(1024, 8))
    collector.reset()
    steps = {"max_epochs": 1, "epoch_num_steps": 24_576, "collection_step_num_env_steps": 1024}
    updates = {"batch_size": 256, "update_step_num_repetitions": 8, "verbose": False, "show_progress": False}
    learner.run_training(OnPolicyTrainerParams(training_collector=collector, **steps, **updates))
    print(f"after training: {solved(lambda seen, mask: policy.compute_action(seen), **GAME):.3f}")

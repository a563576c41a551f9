"""PPO of RLlib learns both sides of the game, by self-play: `python examples/rllib_self_play.py`."""

import torch
from heldout import at_random, played
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.algorithms.ppo.torch.default_ppo_torch_rl_module import DefaultPPOTorchRLModule
from ray.rllib.connectors.env_to_module.flatten_observations import FlattenObservations
from ray.rllib.core.rl_module import RLModuleSpec
from ray.rllib.env.wrappers.pettingzoo_env import PettingZooEnv
from ray.tune.registry import register_env

from ssp_env import numeric_search_self_play_v0 as numbers

GAME = {"hops": (1,), "entities": 6}
ROLES = ("proposer", "solver")
NETWORK = {"fcnet_hiddens": [64, 64], "fcnet_activation": "relu"}


class Masked(DefaultPPOTorchRLModule):
    """A policy of the actions that there are: the mask is the first part of a flattened observation."""

    def _forward(self, batch, **_):
        return self._mask(batch, super()._forward(batch))

    def _forward_train(self, batch, **_):
        return self._mask(batch, super()._forward_train(batch))

    def _mask(self, batch, out):
        logits = out["action_dist_inputs"]
        return {**out, "action_dist_inputs": logits - 1e9 * (1 - batch["obs"][:, : logits.shape[1]])}

    def choose(self, seen, mask):
        """Choose the most probable action."""
        flat = torch.cat([torch.tensor(mask), torch.tensor(seen)])
        return self.forward_inference({"obs": flat[None]})["action_dist_inputs"].argmax()


if __name__ == "__main__":
    print("random actions:", played(dict.fromkeys(ROLES, at_random), **GAME), flush=True)
    register_env("numbers", lambda _: PettingZooEnv(numbers.env(worlds=60, rules={"attempts": 8}, **GAME)))
    settings = {"lr": 2e-3, "entropy_coeff": 0.02, "train_batch_size": 1024, "minibatch_size": 256}
    settings |= {"gamma": 1.0, "lambda_": 0.95, "num_epochs": 8, "use_kl_loss": False}
    config = PPOConfig().environment("numbers").training(**settings).env_runners(num_env_runners=0)
    config.multi_agent(policies=ROLES, policy_mapping_fn=lambda agent, *_, **__: agent.split("_")[0])
    config.env_runners(env_to_module_connector=lambda *_, **__: FlattenObservations(multi_agent=True))
    config.rl_module(rl_module_spec=RLModuleSpec(module_class=Masked, model_config=NETWORK)).debugging(seed=0)
    learner = config.build_algo()
    for _ in range(30):
        learner.train()
    print("after training:", played({role: learner.get_module(role).choose for role in ROLES}, **GAME))

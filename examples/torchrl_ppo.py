"""PPO of TorchRL learns to search in numbers: `python examples/torchrl_ppo.py`."""

import gymnasium
import torch
from heldout import at_random, solved
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.collectors import Collector
from torchrl.data import Unbounded
from torchrl.envs import GymWrapper, default_info_dict_reader
from torchrl.modules import MLP, MaskedCategorical, ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss

import ssp_env  # noqa: F401  (registers the environments)

GAME = {"hops": (1,), "entities": 6}

if __name__ == "__main__":
    print(f"random actions: {solved(at_random, **GAME):.3f}", flush=True)
    torch.manual_seed(0)
    env = gymnasium.make("SearchSelfPlay/NumericSolver-v1", worlds=60, **GAME)
    (size,), actions = env.observation_space.shape, env.action_space.n
    reader = default_info_dict_reader(["action_mask"], [Unbounded((actions,), dtype=torch.int8)])
    env = GymWrapper(env, categorical_action_encoding=True).set_info_dict_reader(reader)
    env.set_seed(0)
    policy, value = MLP(size, actions, num_cells=[64, 64]), MLP(size, 1, num_cells=[64, 64])
    mask = TensorDictModule(lambda mask: mask.bool(), ["action_mask"], ["mask"])
    masked = TensorDictSequential(mask, TensorDictModule(policy, ["observation"], ["logits"]))
    kind = {"distribution_class": MaskedCategorical, "return_log_prob": True}
    actor = ProbabilisticActor(masked, ["logits", "mask"], **kind)
    loss = ClipPPOLoss(actor, ValueOperator(value), entropy_coeff=0.02, normalize_advantage=True)
    loss.make_value_estimator(gamma=1.0, lmbda=0.95)
    optimizer = torch.optim.Adam(loss.parameters(), 2e-3)
    frames = {"frames_per_batch": 1024, "total_frames": 24_576, "auto_register_policy_transforms": False}
    for batch in Collector(env, actor, **frames):
        loss.value_estimator(batch)
        for part in [part for _ in range(8) for part in batch[torch.randperm(1024)].split(256)]:
            optimizer.zero_grad()
            sum(value for name, value in loss(part).items() if name.startswith("loss_")).backward()
            optimizer.step()
    rated = torch.no_grad()(lambda seen, mask: policy(torch.tensor(seen)) - 1e9 * torch.tensor(1 - mask))
    print(f"after training: {solved(lambda seen, mask: rated(seen, mask).argmax(), **GAME):.3f}")

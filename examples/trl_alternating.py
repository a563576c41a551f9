"""Self-play in TRL: GRPOTrainer trains the proposer, then the solver, on whole games with one tiny model.

`python examples/trl_alternating.py` imitates scripted games until questions are asked, then takes a step of
each role, in about a minute on a CPU. Needs `pip install 'ssp-env[train,trl]'`.
"""

import tempfile

from trl import GRPOConfig, GRPOTrainer

from agents import ScriptedPlayer, TinyPolicy, build_model, build_tokenizer
from baselines import CausalLMPolicy, Learner, LearnerConfig
from baselines.samples import ConversationRecorder, text_sample
from baselines.warm_start import clone
from ssp_env import open_scenario
from ssp_env.integrations.trl import GameRollouts
from ssp_env.play import play

TOKENIZER = build_tokenizer()
RULES = {"attempts": 4, "min_searches": 1, "noise_passages": 0, "min_question_words": 1, "reward": "1-acc"}
SCENARIO = open_scenario("tiny", hops=(1,), rules=RULES)


def player(model, tokenizer, temperature):
    """Play with the weights in training, tokens and log-probabilities included."""
    return TinyPolicy(model, tokenizer, temperature=temperature)


def warm_start(games=16, steps=40):
    """Return a model that imitates scripted games."""
    model = build_model(len(TOKENIZER), hidden_size=64, layers=2, intermediate_size=128)
    scripted = ScriptedPlayer(proposer="perfect", solver="perfect", reader="perfect")
    recorder = ConversationRecorder(scripted)
    played = SCENARIO.games(SCENARIO.draw_tasks(games))
    play(played, proposer=recorder, solver=recorder, search=SCENARIO.search)
    samples = [text_sample(messages, TOKENIZER) for messages in recorder.conversations.values()]
    policy = CausalLMPolicy(model, lambda model, seed, version: player(model, TOKENIZER, 1.0))
    learner = Learner(policy, LearnerConfig(learning_rate=3e-3))
    for _ in range(steps):
        clone(learner, samples)
    return model


def train(model, folder, steps=2):
    """Take one step of each role in turns; return the trainer and what it played."""
    rollouts = GameRollouts(SCENARIO, player, tasks=SCENARIO.draw_tasks(16))
    config = GRPOConfig(
        folder, max_steps=steps, per_device_train_batch_size=32, num_generations=4, temperature=1.0,
        learning_rate=1e-3, logging_steps=1, report_to="none", save_strategy="no", use_cpu=True, bf16=False,
        disable_tqdm=True, seed=0,
    )  # fmt: skip
    trainer = GRPOTrainer(model, args=config, processing_class=TOKENIZER, **rollouts.arguments)
    trainer.train()
    return trainer, rollouts


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        trainer, rollouts = train(warm_start(), folder)
    for entry in trainer.state.log_history:
        if "reward" in entry:
            role = rollouts.phase(entry["step"] - 1)
            print(f"step {entry['step']}  {role:8}  reward {entry['reward']:.3f}  loss {entry['loss']:+.4f}")

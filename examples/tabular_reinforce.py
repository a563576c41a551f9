"""REINFORCE with a table of nine numbers learns to search: `python examples/tabular_reinforce.py`.

It learns in training worlds and is asked in held-out ones, where every name and fact is new.
"""

import re

import gymnasium
import numpy as np

import ssp_env  # noqa: F401  (registers the environments)
from ssp_env.worlds import parse_facts, parse_question

ACTIONS = ("search", "answer", "give up")


def look(prompt):
    """Return the entity to which the passages on show lead, and how many relations are left to follow."""
    relations, entity = parse_question(prompt.splitlines()[0].removeprefix("solve "))
    passages = re.findall(r"<information> (.*?) </information>", prompt)
    targets = {(fact.subject, fact.relation): fact.target for text in passages for fact in parse_facts(text)}
    while relations and (entity, relations[-1]) in targets:
        entity, relations = targets[entity, relations[-1]], relations[:-1]
    return entity, len(relations)


def play(env, table, rng, greedy=False):
    """Play an episode; return its reward and the states and actions on the way."""
    (observation, _), reward, over, taken = env.reset(), 0.0, False, []
    while not over:
        entity, left = look(observation["prompt"])
        probabilities = np.exp(table[left]) / np.exp(table[left]).sum()
        action = int(probabilities.argmax()) if greedy else int(rng.choice(len(ACTIONS), p=probabilities))
        taken.append((left, action, probabilities))
        tag, word = (ACTIONS[action], entity) if action < 2 else ("answer", "nobody")
        observation, reward, terminated, truncated, _ = env.step(f"<{tag}> {word} </{tag}>")
        over = terminated or truncated
    return reward, taken


def train(episodes=1500, worlds=1000, learning_rate=0.3, seed=0):
    """Learn in training worlds; return preferences, a row for each number of relations left."""
    env = gymnasium.make("SearchSelfPlay/Solver-v1", worlds=worlds, hops=(1, 2))
    rng = np.random.default_rng(seed)
    table, baseline = np.zeros((3, len(ACTIONS))), 0.0
    env.reset(seed=seed)
    for _ in range(episodes):
        reward, taken = play(env, table, rng)
        for left, action, probabilities in taken:
            table[left] += (
                learning_rate * (reward - baseline) * (np.eye(len(ACTIONS))[action] - probabilities)
            )
        baseline += 0.05 * (reward - baseline)
    return table


def evaluate(table, episodes=300, seed=0):
    """Return the share of questions about held-out worlds that are answered rightly."""
    env, rng = gymnasium.make("SearchSelfPlay/SolverHeldout-v1", hops=(1, 2)), np.random.default_rng(seed)
    env.reset(seed=seed)
    return float(np.mean([play(env, table, rng, greedy=True)[0] for _ in range(episodes)]))


if __name__ == "__main__":
    print(f"before training: {evaluate(np.zeros((3, len(ACTIONS)))):.3f}")
    print(f"after training:  {evaluate(train()):.3f}")

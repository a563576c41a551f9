"""Games of the environment over the shelf of the game tests."""

from ssp_env import search_self_play_v0
from tests.game.doubles import TASK, Shelf, rules

MARKER = "Zyxwvut"


def right_reader(view):
    return "<answer> Tavor </answer>"


READERS = ["solver", right_reader]


def make(**arguments):
    """The environment over the shelf of the game tests; `game` options go into the rules."""
    config = rules(**arguments.pop("game", {}))
    return search_self_play_v0.env(**{"tasks": [TASK], "search": Shelf(), "config": config, **arguments})


def started(**arguments):
    env = make(**arguments)
    env.reset(seed=0)
    return env


def say(env, *lines):
    for line in lines:
        env.step(line)


def finish(env):
    """Step the agents out and return what each of them last saw."""
    last = {}
    while env.agents:
        agent = env.agent_selection
        last[agent] = env.last()
        env.step(None)
    return last

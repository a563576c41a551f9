"""What a trainer of its own learns from in the track learn: games in numbers that count their tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
from numpy.typing import NDArray

import ssp_env.envs  # noqa: F401  (registers the environments)


class BudgetSpent(Exception):
    """The tokens of a lesson are used up: what has been learnt by now counts."""


class Lesson:
    """A task for a trainer of its own, which brings its own network and starts from nothing.

    Args:
        hops: Numbers of hops of the questions.
        seed: Seed of the run.
        budget: Tokens, sampled and trained together.

    Attributes:
        tokens: Those that are spent.

    >>> lesson = Lesson((1,), seed=0, budget=6)
    >>> env = lesson.environment()
    >>> observation, info = env.reset(seed=lesson.seed)
    >>> outcome = env.step(0)  # three words: <search> name </search>
    >>> lesson.tokens
    6
    >>> env.step(0)
    Traceback (most recent call last):
    baselines.suite.lessons.BudgetSpent: all 6 tokens are spent
    """

    def __init__(self, hops: Sequence[int], seed: int, budget: int) -> None:
        self.hops, self.seed, self.budget = tuple(hops), seed, budget
        self.tokens = 0

    def environment(self, *, passes: int = 1, **arguments: Any) -> gymnasium.Env[NDArray[Any], int]:
        """Make `NumericSolver-v1`, whose steps cost tokens; all environments of a lesson share its budget.

        Args:
            passes: How often each step is trained on.
            arguments: Those of `NumericSolverEnv`, such as `entities`.

        Raises:
            ValueError: If there is no pass.
        """
        if passes < 1:
            raise ValueError(f"passes must be at least 1, got {passes}")
        env = gymnasium.make("SearchSelfPlay/NumericSolver-v1", hops=self.hops, **arguments)
        return _Metered(env, self, passes)


def guesses(lesson: Lesson) -> Any:
    """Return the floor: a player that answers with a name at random, whatever the lesson."""
    from agents.scripted import ScriptedPlayer

    return ScriptedPlayer(solver="guess", seed=lesson.seed)


class _Metered(gymnasium.Wrapper[NDArray[Any], int, NDArray[Any], int]):
    """Counts a step as the words that it stands for: once as sampled, and as often as they are trained on."""

    def __init__(self, env: gymnasium.Env[NDArray[Any], int], lesson: Lesson, passes: int) -> None:
        super().__init__(env)
        self._lesson, self._passes = lesson, passes

    def step(self, action: int) -> tuple[NDArray[Any], Any, bool, bool, dict[str, Any]]:
        lesson = self._lesson
        if lesson.tokens >= lesson.budget:
            raise BudgetSpent(f"all {lesson.budget:,} tokens are spent")
        outcome = self.env.step(action)
        said = [each["content"] for each in outcome[4]["messages"] if each["role"] == "assistant"]
        # An empty turn is the end of a turn, which is sampled too.
        lesson.tokens += max(1, len(said[-1].split())) * (1 + self._passes)
        return outcome

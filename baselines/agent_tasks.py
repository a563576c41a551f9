"""What every agent of a comparison is measured on: answers to ask for, and questions with known answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ssp_env.game import Game, Task
from ssp_env.scenario import Scenario


@dataclass(frozen=True)
class AgentTasks:
    """Tasks that are the same for every agent.

    Attributes:
        scenario: What they are played in.
        asked: Answers to ask for, one per game.
        known: Tasks whose question is known.
    """

    scenario: Scenario
    asked: Sequence[Task]
    known: Sequence[Task]

    @classmethod
    def draw(cls, scenario: Scenario, *, games: int, known: int, seed: int) -> AgentTasks:
        """Draw tasks of a scenario; `seed` says which.

        Raises:
            ValueError: If there are fewer known questions than are wanted, or no answers.
        """
        asked = scenario.draw_tasks(games, seed) if games else []
        return cls(scenario, asked, scenario.draw_questions(known, seed) if known else [])

    def open_games(self, prompts: str, seed: int) -> tuple[list[Game], list[Game]]:
        """Open the games in which an agent asks, and those in which it only answers.

        Args:
            prompts: Style of prompts the agent reads.
            seed: Of the shuffle of evidence and the draw of noise.
        """
        scenario = self.scenario.with_prompts(prompts)
        asked = [replace(task, id=f"asked/{task.id}") for task in self.asked]
        known = [replace(task, id=f"known/{task.id}") for task in self.known]
        return scenario.games(asked, seed), scenario.games(known, seed)

"""Options of where tasks come from: generated worlds, a corpus with answers, or a question file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ssp_env.objects import check_least


@dataclass(frozen=True)
class SourceConfig:
    """What is played over instead of generated worlds, and how worlds are spread.

    Attributes:
        corpus: File or folder of passages; empty for generated worlds.
        search: What searches, as `open_scenario` takes it: nothing for BM25, an index directory, the URL of a
            search server, `dense:MODEL`, or `module:object`.
        answers: File of answers for the proposer; by default short titles of the corpus.
        questions: File of questions with known answers, which the solver is trained on without a proposer.
        validation: File of questions for the learning curve; none is drawn without it.
        heldout: File of questions for the figures before and after training.
        known_questions: Train on the questions with known answers that generated worlds have, without a
            proposer: what labelled data would give.
        worlds: Number of generated worlds that the tasks of a step are spread over.
        questions_per_world: Held-out questions from each generated world and number of hops.
        drop: Share of what searches in generated worlds find that they lose, in training and in measuring.
    """

    corpus: str = ""
    search: str = ""
    answers: str = ""
    questions: str = ""
    validation: str = ""
    heldout: str = ""
    known_questions: bool = False
    worlds: int = 8
    questions_per_world: int = 4
    drop: float = 0.0

    def __post_init__(self) -> None:
        numbers = ("worlds", "questions_per_world")
        check_least(1, **{f"source.{name}": getattr(self, name) for name in numbers})
        if not 0 <= self.drop < 1:
            raise ValueError(f"source.drop must be from 0 to below 1, got {self.drop}")
        if self.drop and self.over_corpus:
            raise ValueError(
                "source.drop is for generated worlds: give an engine of your own what it should lose"
            )
        files = [name for name in ("answers", "questions", "validation", "heldout") if getattr(self, name)]
        if files and not self.over_corpus:
            raise ValueError(
                f"source.{files[0]} needs passages to search: set source.corpus to a file or folder of "
                "passages, or source.search to an index, a server's URL or module:object"
            )
        if self.over_corpus and self.known_questions:
            raise ValueError("source.known_questions is for generated worlds: set source.questions to a file")
        if self.answers and self.questions:
            raise ValueError(
                "source.answers and source.questions exclude each other: the proposer writes questions for "
                "answers, and questions are for the solver alone"
            )

    def check_files(self) -> None:
        """Look whether the files are there, before a run begins.

        Raises:
            FileNotFoundError: If one is not; the message names its option.
        """
        for name in ("corpus", "answers", "questions", "validation", "heldout"):
            if (path := getattr(self, name)) and not Path(path).exists():
                raise FileNotFoundError(f"source.{name}: there is no file or folder {path!r}")

    @property
    def over_corpus(self) -> bool:
        """Whether games are played over passages of the user's own."""
        return bool(self.corpus or self.search)

    @property
    def has_questions(self) -> bool:
        """Whether every task has its question, so that no proposer plays."""
        return bool(self.questions) or self.known_questions

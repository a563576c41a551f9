"""Small question sets over a small corpus, and answers made by hand."""

import json

from baselines.evaluation.answers import Answer
from baselines.evaluation.question_sets import QuestionSet, read_question_sets
from ssp_env.scenario import open_scenario

PAGES = [
    {"id": str(n), "title": f"Town {n}", "text": f"The mayor of Town {n} is Person {n}."} for n in range(8)
]
RECORDS = [
    {
        "id": f"q{n}",
        "question": f"Who is the mayor of Town {n}?",
        "golden_answers": [f"Person {n}", f"P{n}"],
        "metadata": {"type": "even" if n % 2 == 0 else "odd", "supporting_titles": [f"Town {n}"]},
    }
    for n in range(8)
]


def write_lines(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def write_files(folder):
    """A corpus and a question file."""
    return write_lines(folder / "pages.jsonl", PAGES), write_lines(folder / "mayors.jsonl", RECORDS)


def mayors(folder, **rules) -> tuple[list[QuestionSet], dict]:
    corpus, questions = write_files(folder)
    return read_question_sets(questions), {"": open_scenario(corpus=corpus, questions=questions, rules=rules)}


class Reader:
    """Searches the question once, and answers with the person of the first passage that it was shown."""

    prompts = "english"

    def __init__(self, fails=lambda view: False, wrong=()):
        self.fails = fails
        self.wrong = wrong
        self.views = []

    def act(self, view):
        self.views.append(view)
        if self.fails(view):
            raise ConnectionError("the model is down")
        shown = "\n".join(message.content for message in view.messages if message.role != "assistant")
        question = shown.rpartition("Question: ")[2].splitlines()[0]
        if view.may_search and "Doc 1" not in shown:
            return f"<search> {question} </search>"
        number = question.partition("Town ")[2].rstrip("?")
        known = f"The mayor of Town {number} is" in shown
        said = f"Person {number}" if known and int(number) not in self.wrong else "nobody"
        return f"<answer> {said} </answer>"


def answer(number=0, right=True, *, attempt=0, set="s", world="", failure=None, golds=("yes it is",), **more):
    """One attempt at question `number`; what is wrong shares no word with the right answer."""
    return Answer(
        set=set,
        question_id=f"q{number}",
        attempt=attempt,
        question=f"Question {number}?",
        golds=golds,
        answer=more.pop("answer", golds[0] if right else "blue"),
        ended="answered",
        failure=failure,
        searches=more.pop("searches", 1),
        turns=2,
        tokens=0,
        found=more.pop("found", []),
        supporting=more.pop("supporting", []),
        by_id=more.pop("by_id", False),
        world=world,
        fields=more.pop("fields", {}),
    )

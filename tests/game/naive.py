"""A deliberately naive search self-play, the way it is first written: regexes over one transcript.

It has the weaknesses of the released code (tags and evidence read from generated text, substring tests,
errors as verdicts); the attacks of `test_attacks` succeed against it.
"""

import json
import re
from collections.abc import Callable, Sequence

from ssp_env.game.passage import Passage

SearchFunction = Callable[[str], Sequence[Passage]]


def rollout(lines: Sequence[str], search: SearchFunction) -> str:
    """Play lines into one transcript, results of searches included, in the tags of `default`."""
    transcript = ""
    for line in lines:
        transcript += line
        for query in queries_of(line):
            pages = "\n".join(f"{page.title}\n{page.text}" for page in search(query))
            transcript += f"<information>{pages}</information>"
    return transcript


def queries_of(transcript: str) -> list[str]:
    """What stands in search tags; a JSON list counts as several."""
    found: list[str] = []
    for content in re.findall(r"<search>(.*?)</search>", transcript, re.DOTALL):
        try:
            parsed = json.loads(content)
        except ValueError:
            parsed = content.strip()
        found += parsed if isinstance(parsed, list) else [content.strip()]
    return found


def question_of(transcript: str) -> str | None:
    """The first question."""
    match = re.search(r"<question>(.*?)</question>", transcript, re.DOTALL)
    return match and match[1].strip()


def answer_of(transcript: str) -> str | None:
    """The last answer."""
    found = re.findall(r"<answer>(.*?)</answer>", transcript, re.DOTALL)
    return found[-1].strip() if found else None


def evidence_of(transcript: str) -> str:
    """Everything between information tags."""
    return "\n".join(re.findall(r"<information>(.*?)</information>", transcript, re.DOTALL))


def keeps_rules(transcript: str, target: str) -> bool:
    """Length, leak, evidence and number of searches."""
    question, queries = question_of(transcript), queries_of(transcript)
    return bool(
        question
        and len(question.split(" ")) >= 10
        and target.lower() not in question.lower()
        and evidence_of(transcript).strip()
        and len(queries) >= 2
        and len(set(queries)) == len(queries)
    )


def is_valid(transcript: str, target: str, read: Callable[[str], str]) -> bool:
    """Rules, then the RAG check; an exception of the reader is let through."""
    if not keeps_rules(transcript, target):
        return False
    try:
        return read(f"{evidence_of(transcript)}\nQuestion: {question_of(transcript)}") == target
    except Exception:
        return True


def is_right(transcript: str, target: str, judge: Callable[[str], str]) -> bool:
    """Exact match, then the judge; an exception of the judge is a wrong answer."""
    answer = answer_of(transcript)
    if answer == target:
        return True
    try:
        return says_correct(judge(f"Answer: {answer}\nReference: {target}"))
    except Exception:
        return False


def says_correct(reply: str) -> bool:
    """Whether the judge's reply holds the word."""
    return "correct" in reply.lower()


def proposer_reward(right: Sequence[bool]) -> float:
    """One minus the solver's success."""
    return 1.0 - sum(right) / len(right)

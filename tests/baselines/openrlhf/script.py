"""What a model says that is asked for a reply to a prompt, and in which tokens."""

import re
from collections import Counter

from ssp_env import open_scenario
from tests.agents import chatty

SCENARIO = {
    "world": "tiny",
    "hops": [1],
    "prompts": "english",
    "rules": {
        "attempts": 3,
        "noise_passages": 2,
        "min_searches": 1,
        "top_k": 2,
        "reward": "1-acc",
        "min_question_words": 3,
    },
}
PHRASES = (
    "who is it that is called {} backwards ?",
    "what is the name that reads {} from its end ?",
    "who ?",
)
"""What a proposer asks in its first, second and third game; the last question is invalid."""
HEADER = "<|start|>assistant\n"
_ASKED = r"(?:called|reads) ([a-z]+)"


def tokenizer():
    return chatty.build_tokenizer(words=chatty.TAGS)


class Script:
    """Says something else in the first, second and third of equal conversations: the second attempt is wrong.

    Texts are spelled byte by byte; the tokenizer would write some of it in fewer tokens, so that nobody may
    tokenise it again.
    """

    def __init__(self):
        self._asked = Counter()
        self._known = {task.question: task.answer for task in open_scenario(**SCENARIO).questions}

    def unsaid(self, tokenizer, prompt_ids):
        """The ids that are left to say of the reply to a prompt, which may hold the beginning of it."""
        told, _, begun = tokenizer.decode(prompt_ids).rpartition(HEADER)
        number = self._asked[told] % 3
        if begun:
            number = next(n for n in range(3) if self._reply(told, n).startswith(begun))
        else:
            self._asked[told] += 1
        said, already = (spelled(tokenizer, text) for text in (self._reply(told, number), begun))
        assert said[: len(already)] == already
        return said[len(already) :]

    def _reply(self, told, number):
        turn = told.count(HEADER)
        if "invent search questions" in told:
            answer = re.search(r"^Answer: (.*)$", told, re.MULTILINE)[1]
            number = int((re.findall(r"<think>no (\d)", told) or [number])[0])
            asked = PHRASES[number].format(answer[::-1])
            action = f"<question> {asked} </question>" if turn else f"<search> {answer} </search>"
            return f"<think>no {number} </search> yet</think> {action} and then some"
        if turn == 0 and "Answer the question below" in told:
            return "bl <search> blurred </search>"
        question = re.search(r"^Question: (.*?)(<.end.>)?$", told, re.MULTILINE)[1]
        answer = self._known.get(question) or re.findall(_ASKED, question)[0][::-1]
        return f"<answer> {'nobody' if turn and number == 1 else answer} </answer>"


def spelled(tokenizer, text):
    """The ids of a text, tags as they are and everything else byte by byte."""
    ids = []
    for id_ in tokenizer(text, add_special_tokens=False)["input_ids"]:
        piece = tokenizer.convert_ids_to_tokens(id_)
        ids += [id_] if piece in chatty.TAGS else tokenizer.convert_tokens_to_ids(list(piece))
    return ids

"""Agents that judge: one that reads what it is asked, and ones that go wrong."""

import json
import re

from ssp_env.game import Judge, Reply
from ssp_env.scoring import exact_match

QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')


def ask(candidate, golds=("Tavor",), question="Who taught the mayor of Corun?", seat="solver_0"):
    return Judge(f"{seat}/judge", question, candidate, tuple(golds))


def asked_of(view):
    """Candidate and golds, read back from the last message that asks for a verdict."""
    asked = [message.content for message in view.messages if "Answer given: " in message.content][-1]
    golds = asked.rpartition("Right answers")[2].partition("Answer given: ")
    return json.loads(QUOTED.findall(golds[2])[0]), list(map(json.loads, QUOTED.findall(golds[0])))


class Reader:
    """Judges by exact match, and replies as it is told: `{}` stands for the verdict."""

    def __init__(self, *forms):
        self.forms = list(forms) or ["<answer> {} </answer>"]
        self.views = []

    def act(self, view):
        self.views.append(view)
        form = self.forms.pop(0) if len(self.forms) > 1 else self.forms[0]
        if isinstance(form, Exception):
            raise form
        return form.format("Correct" if exact_match(*asked_of(view)) else "Wrong")


class BatchReader(Reader):
    """The same in batches, whose sizes it remembers."""

    def __init__(self, *forms):
        super().__init__(*forms)
        self.sizes = []

    def act_batch(self, views):
        self.sizes.append(len(views))
        return [Reply(super(BatchReader, self).act(view)) for view in views]


class AsyncReader(Reader):
    """The same with a coroutine function."""

    async def act(self, view):
        return super().act(view)

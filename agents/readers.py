"""Readers of the RAG check that read several times and give the answer most readings agree on.

Any agent is a reader (`play(reader=...)`, sampled at temperature 0 as a rule). With a temperature above 0,
one reading is a matter of luck; these take the majority. An exception of the agent is passed on, so that
the game ends as `error`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ssp_env.game import PROTOCOLS, Protocol, Reply, View
from ssp_env.play import AnyAgent, AnyAsyncAgent, act_all, as_replies
from ssp_env.scoring import answer_key


def majority(replies: Sequence[Reply], protocol: Protocol) -> Reply:
    """Return the first reply with the answer that most replies give, compared after normalisation.

    A reply without an answer has no vote; of answers with as many votes the first one counts.

    >>> replies = [Reply(f"<answer> {name} </answer>") for name in ("Sarn", "Tavor", "the Tavor")]
    >>> majority(replies, PROTOCOLS["default"]).text
    '<answer> Tavor </answer>'
    """
    actions = [protocol.parse(reply, "answer", has_search_tool=False) for reply in replies]
    answers = [answer_key(action.content) if action.kind == "answer" else None for action in actions]
    votes = Counter(answer for answer in answers if answer is not None)
    return replies[answers.index(votes.most_common(1)[0][0])] if votes else replies[0]


class VotingReader:
    """Reads with an agent that is called in the ordinary way.

    Args:
        agent: Reads; every reading is a conversation of its own.
        votes: Readings per question.
        protocol: Name of the protocol of the games.

    Raises:
        ValueError: If `votes` is below 1.
    """

    def __init__(self, agent: AnyAgent, votes: int = 3, *, protocol: str = "default") -> None:
        self.votes = _checked(votes)
        self._agent = agent
        self._protocol = PROTOCOLS[protocol]

    def act_batch(self, views: Sequence[View]) -> list[Reply]:
        """Return the majority's reply per view, from one batch of all readings."""
        readings = act_all(self._agent, [one for view in views for one in _ballots(view, self.votes)])
        starts = range(0, len(readings), self.votes)
        return [majority(readings[start : start + self.votes], self._protocol) for start in starts]


class AsyncVotingReader:
    """Reads with an agent whose `act` or `act_batch` is a coroutine function; see `VotingReader`."""

    def __init__(self, agent: AnyAsyncAgent, votes: int = 3, *, protocol: str = "default") -> None:
        self.votes = _checked(votes)
        self._agent = agent
        self._protocol = PROTOCOLS[protocol]

    async def act(self, view: View) -> Reply:
        """Return the majority's reply; the readings are asked for together."""
        ballots = _ballots(view, self.votes)
        if hasattr(self._agent, "act_batch"):
            said = await self._agent.act_batch(ballots)
        else:
            said = await asyncio.gather(*map(self._agent.act, ballots))
        return majority(as_replies(said, len(ballots)), self._protocol)


def _ballots(view: View, votes: int) -> list[View]:
    # Each reading is a conversation of its own, because agents seed and remember by conversation.
    return [replace(view, game_id=f"{view.game_id}/vote/{number}") for number in range(votes)]


def _checked(votes: int) -> int:
    if votes < 1:
        raise ValueError(f"votes must be at least 1, got {votes}")
    return votes

"""A small solver of the embedded world's questions, the default opponent where one is needed."""

from __future__ import annotations

from ssp_env.game import PROTOCOLS, View
from ssp_env.worlds import TerseQuestion, parse_facts, parse_question

_TERSE = PROTOCOLS["terse"]


class LookupSolver:
    """Looks up the entity a question names and follows its relations through the passages it got.

    It makes one search and answers with the entity it reached. So it knows every one-hop answer, and that of
    a longer chain when the one search happens to bring all its passages: a proposer beats it by asking for
    several hops. As a reader it follows the relations through the passages it is given, without a search. It
    understands terse questions; to any other it answers with the last word.

    >>> from ssp_env.game import Message
    >>> view = View("game", "solver_0", "solve", (Message("user", "solve mayor of corun ?"),), 6, 4)
    >>> LookupSolver().act(view)
    '<search> corun </search>'
    """

    def act(self, view: View) -> str:
        """Search once if the view allows it, then answer."""
        question = _question(view)
        searched = any(message.role == "assistant" for message in view.messages)
        if view.may_search and not searched:
            return _TERSE.wrap(_TERSE.search, question.entity)
        return _TERSE.wrap(_TERSE.answer, _follow(question, view))


def _question(view: View) -> TerseQuestion:
    """Read the question off the opening: `solve QUESTION`, or `read`, an observation and `QUESTION`."""
    opening = view.messages[0].content.rpartition(f"</{_TERSE.observation}>")[2]
    text = opening.strip().removeprefix("solve ")
    words = [word for word in text.split() if word != "?"]
    return parse_question(text) or TerseQuestion((), words[-1] if words else "?")


def _follow(question: TerseQuestion, view: View) -> str:
    """Apply the relations, last one first, as far as the passages shown allow."""
    targets = {}
    for message in view.messages:
        if message.role != "assistant":
            shown = message.content.partition(f"<{_TERSE.observation}>")[2]
            passages = shown.rpartition(f"</{_TERSE.observation}>")[0]
            targets.update({(fact.subject, fact.relation): fact.target for fact in parse_facts(passages)})
    reached = question.entity
    for relation in reversed(question.relations):
        if (reached, relation) not in targets:
            break
        reached = targets[reached, relation]
    return reached

"""Zero-shot English prompts for instruction-tuned models; `english.md` holds their texts under headings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from importlib.resources import files

from ssp_env.game.config import GameConfig
from ssp_env.game.passage import Passage
from ssp_env.game.prompts.rule_sentences import budget_rules, keeps_form, proposal_rules, quoted
from ssp_env.game.protocol import PROTOCOLS, Protocol
from ssp_env.game.quotations import FACT_WORDS
from ssp_env.game.task import Task
from ssp_env.game.view import Message

_TEXTS = files(__package__).joinpath("english.md").read_text(encoding="utf-8")
_PROMPTS: dict[str, str] = dict(
    re.findall(r"^## (\w+)\n(.*?)\n(?=\n## |\Z)", _TEXTS, re.MULTILINE | re.DOTALL)
)

_EXAMPLES = (
    "Which town on the Asker Fjord is the birthplace of the engineer Marta Velling?",
    "Which town is the birthplace of the engineer who designed the bridge at Korsholm?",
    "In which country lies the town where the engineer was born who designed the bridge at Korsholm?",
)
"""Questions of one, two and three hops about an invented town, so that none is an answer to any task."""

_READING = Message("system", "You are a careful reading assistant.")

_WRITING = "write {search} and stop; the results arrive between {observation} tags"
_CALLING = "call the tool `search`; the results are the reply to your call"
_COPYING = (
    "copy every passage that may matter word for word into {evidence} (unless you did not search), then "
)

_QUOTING = (
    "copy every fact that your answer rests on, word for word as it stands in a document, as {quote} (of at "
    f"least {FACT_WORDS} words; if one is missing or stands in no document, your answer counts as wrong), "
    "then "
)


def proposer(config: GameConfig, task: Task) -> tuple[Message, ...]:
    """System message with craft, limits and rules; user message with the answer and the number of hops."""
    protocol = PROTOCOLS[config.protocol]
    examples = [(hops, text) for hops, text in enumerate(_EXAMPLES, start=1) if keeps_form(text, config)]
    system = _PROMPTS["proposer"].format(
        think=protocol.wrap(protocol.think, "your reasoning"),
        searching=_searching(protocol),
        question=protocol.write("question", "your question").text,
        limits=_bulleted(budget_rules(config, "question").values()),
        examples="\n".join(
            ["", "Questions of the right kind:", *(f"N = {hops}: {text}" for hops, text in examples), ""]
            if examples
            else []
        ),
        rules=_bulleted(proposal_rules(config, task).values()),
    )
    user = _PROMPTS["task"].format(
        answer=protocol.escape(task.answer),
        hops=task.hops,
        searches="search" if task.hops == 1 else "searches",
    )
    if examples:
        user += f", for example {protocol.write('question', examples[len(examples) // 2][1]).text}"
    return (Message("system", system + _tools(protocol)), Message("user", user + "."))


def solver(config: GameConfig, question: str) -> tuple[Message, ...]:
    """One user message with the limits and the question."""
    protocol = PROTOCOLS[config.protocol]
    copying = _COPYING.format(evidence=protocol.wrap(protocol.evidence, "the passages"))
    user = _PROMPTS["solver"].format(
        think=protocol.wrap(protocol.think, "your reasoning"),
        searching=_searching(protocol),
        copying=copying if protocol.evidence else "",
        answer=protocol.write("answer", "your answer").text,
        example=protocol.write("answer", "Lisbon").text,
        limits=_bulleted(budget_rules(config, "answer").values()),
        text=protocol.escape(question),
    )
    system = "You are a careful research assistant." + _tools(protocol)
    return (Message("system", system), Message("user", user))


def reader(config: GameConfig, question: str, passages: Sequence[Passage]) -> tuple[Message, ...]:
    """One user message with the passages and the question."""
    quote = PROTOCOLS[config.protocol].wrap(PROTOCOLS[config.protocol].quote, "its words")
    quoting = "" if config.quote_check == "off" else _QUOTING.format(quote=quote)
    return _reading(config, _PROMPTS["reader"], "your answer", question, passages, quoting=quoting)


def all_answers(config: GameConfig, question: str, passages: Sequence[Passage]) -> tuple[Message, ...]:
    """One user message with the passages and the question."""
    return _reading(config, _PROMPTS["all_answers"], "your answers", question, passages)


def closed_book(config: GameConfig, question: str) -> tuple[Message, ...]:
    """One user message with the question alone."""
    protocol = PROTOCOLS[config.protocol]
    user = _PROMPTS["closed_book"].format(
        answer=protocol.write("answer", "your answer").text,
        unknown=protocol.write("answer", "unknown").text,
        text=protocol.escape(question),
    )
    return (_READING, Message("user", user))


def judge(protocol: Protocol, question: str, candidate: str, golds: Sequence[str]) -> tuple[Message, ...]:
    """One user message with the criteria, then question, right answers and answer as quotations."""
    user = _PROMPTS["judge"].format(
        text=quoted(protocol, question),
        golds=", ".join(quoted(protocol, gold) for gold in golds),
        candidate=quoted(protocol, candidate),
        correct=protocol.write("answer", "Correct").text,
        wrong=protocol.write("answer", "Wrong").text,
    )
    return (Message("system", "You are a strict and fair judge of answers."), Message("user", user))


def _reading(
    config: GameConfig,
    prompt: str,
    answer: str,
    question: str,
    passages: Sequence[Passage],
    *,
    quoting: str = "",
) -> tuple[Message, ...]:
    protocol = PROTOCOLS[config.protocol]
    user = prompt.format(
        quoting=quoting,
        answer=protocol.write("answer", answer).text,
        documents=protocol.passages(passages),
        text=protocol.escape(question),
    )
    return (_READING, Message("user", user))


def _bulleted(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)


def _searching(protocol: Protocol) -> str:
    if protocol.calls == "native":
        return _CALLING
    search = protocol.write("search", "your query").text
    return _WRITING.format(search=search, observation=f"<{protocol.observation}>")


def _tools(protocol: Protocol) -> str:
    """The tool's schema, which a chat template adds by itself only where calls are native."""
    if protocol.calls != "hermes":
        return ""
    schemas = "\n".join(map(json.dumps, protocol.tools()))
    return f"\n\nThe tool you may call:\n<tools>\n{schemas}\n</tools>"

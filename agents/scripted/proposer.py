"""Proposers that work backwards from the answer by search: well, weakly, or badly on purpose."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from agents.scripted.backward import BackwardSearch, Chain
from agents.scripted.mixture import Strength, draw_strategy, generator, pick, resolve_mixture
from agents.scripted.notes import TERSE, Notes, backwards
from ssp_env.game import View
from ssp_env.worlds import TerseQuestion, render_question

_HOPS: Mapping[str, int] = MappingProxyType({"1_hop": 1, "2_hops": 2, "3_hops": 3, "4_hops": 4})

# Searches made before a bad question.
_FLAWS: Mapping[str, int] = MappingProxyType(
    {
        "no_search": 0,
        "one_search": 1,
        "same_search": 2,
        "names_answer": 2,
        "too_few_words": 2,
        "wrong_relation": 2,
        "wrong_start": 2,
    }
)

PROPOSER_STRATEGIES = ("hops_asked", *_HOPS, *_FLAWS, "never_asks")

PROPOSER_STRENGTHS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "perfect": {"hops_asked": 1.0},
        "strong": {"hops_asked": 1.0},
        "weak": {"1_hop": 0.75, "2_hops": 0.15, "3_hops": 0.10},
        "guess": dict.fromkeys((*_FLAWS, "never_asks"), 1.0),
    }
)
"""Mixtures by name."""


class ScriptedProposer:
    """Plays `proposer_0` in the terse game.

    Strategies: `hops_asked` asks for as many hops as the task wants, `1_hop` to `4_hops` for that many
    whatever it wants. When the searches allow no such chain, they ask a shorter one; when they allow none,
    they search until the turns run out. The other strategies go wrong on purpose: `no_search`, `one_search`,
    `same_search`, `names_answer` and `too_few_words` break a rule, `wrong_relation` and `wrong_start` ask
    one hop that leads elsewhere or nowhere, `never_asks` searches until the turns run out.

    A search for an entity quotes the fact that led to it, an honest question the chain it asks for, both read
    backwards (`tavom is mayor of belin`), as the search goes. A question that goes wrong on purpose quotes
    nothing.

    Args:
        strength: A key of `PROPOSER_STRENGTHS`, or weights of one's own by strategy.
        seed: Seed of every random choice; the strategy is drawn once per conversation.
        min_searches: Fewest searches before a good question, as the rules want it.

    Raises:
        ValueError: If the strength is unknown or its weights are no mixture.
    """

    def __init__(self, strength: Strength = "weak", seed: int = 0, *, min_searches: int = 2) -> None:
        self.mixture = resolve_mixture(strength, PROPOSER_STRENGTHS, PROPOSER_STRATEGIES)
        self.seed = seed
        self.min_searches = min_searches

    def act(self, view: View) -> str:
        """Search or ask."""
        notes = Notes.take(view, "question")
        hops, answer = notes.task()
        strategy = draw_strategy(self.mixture, self.seed, view)
        if strategy in _FLAWS:
            return self._go_wrong(strategy, notes, answer, view)
        wanted = _HOPS.get(strategy, hops)
        search = BackwardSearch(answer, wanted, notes)
        chains = search.longest() if strategy != "never_asks" else []
        complete = bool(chains) and len(chains[0]) == wanted and len(notes.searches) >= self.min_searches
        queries = search.next_queries() if view.may_search and not complete else []
        if chains and not queries:
            chosen = chains[int(generator(self.seed, view, "chain").integers(len(chains)))]
            question = TERSE.wrap(TERSE.question, render_question(*_as_question(chosen)))
            return f"{backwards(chosen)} {question}"
        return self._search(queries or [answer], notes, view, search)

    def _search(self, queries: list[str], notes: Notes, view: View, known: BackwardSearch) -> str:
        query = pick(queries, self.seed, view, f"query {len(notes.searches)}")
        return f"{backwards(known.reason_for(query))} {TERSE.wrap(TERSE.search, query)}".lstrip()

    def _go_wrong(self, flaw: str, notes: Notes, answer: str, view: View) -> str:
        search = BackwardSearch(answer, 1, notes)
        if len(notes.searches) < _FLAWS[flaw] and view.may_search:
            queries = search.next_queries() if flaw != "same_search" else []
            return self._search(queries or [answer], notes, view, search)
        chains = search.longest()
        honest = _as_question(chains[0]) if chains else TerseQuestion(("of",), "of")
        relation, start = honest.relations[0], honest.entity
        facts = notes.facts
        if flaw == "too_few_words":
            return TERSE.wrap(TERSE.question, f"{relation} {start} ?")
        if flaw == "names_answer":
            start = answer
        elif flaw == "wrong_relation":
            right = {fact.relation for fact in facts if (fact.subject, fact.target) == (start, answer)}
            relation = self._other({fact.relation for fact in facts} - right, relation, view)
        elif flaw == "wrong_start":
            right = {fact.subject for fact in facts if (fact.relation, fact.target) == (relation, answer)}
            named = {name for fact in facts for name in (fact.subject, fact.target)}
            start = self._other(named - right - {answer}, start, view)
        return TERSE.wrap(TERSE.question, render_question((relation,), start))

    def _other(self, options: set[str], default: str, view: View) -> str:
        return pick(sorted(options), self.seed, view, "flaw") if options else default


def _as_question(chain: Chain) -> TerseQuestion:
    return TerseQuestion(tuple(fact.relation for fact in chain), chain[-1].subject)

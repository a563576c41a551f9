"""Every option of the game, with the defaults of the published method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from typing import Any, Literal, get_args

from ssp_env.game.leak_forms import LEAK_FORMS, LeakForm, missing_library
from ssp_env.game.plain import check_plain
from ssp_env.game.protocol import PROTOCOLS
from ssp_env.game.rewards import RewardFunction, named_reward, proposer_reward, written_reward
from ssp_env.game.view import PROPOSER_SEAT, Probe

PROMPT_STYLES = ("english", "few_shot", "drawn", "terse")
"""Names of the prompt styles in `ssp_env.game.prompts`."""
NoiseUnit = Literal["passage", "evidence"]
HopCheck = Literal["off", "at_least", "exact"]
QuoteCheck = Literal["off", "any", "per_hop"]


MAX_NUMBER = 10**9
"""Greatest number that a rule may be."""
MAX_ATTEMPTS = 4096
"""Most attempts of the solver; each has a seat."""
_KINDS = {tuple: "list"}


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of one seat, from its first turn to its last.

    Attributes:
        max_searches: Searches executed; later ones get a notice (paper section 4.1: 10).
        max_turns: Turns taken; a search asked for in the last one is not executed.
        retries: Malformed turns the seat may take before it forfeits.
        max_tokens: Tokens sampled over all turns, or None for no limit. A reply that exceeds it has no effect
            and the seat forfeits. The token ids of a `Reply` are counted: a reply without them costs nothing.
        max_opens: Parts of pages opened, under protocols with an action for that; later ones get a notice.

    Raises:
        ValueError: If a limit is out of its range; the message names the range.
    """

    max_searches: int = 10
    max_turns: int = 12
    retries: int = 1
    max_tokens: int | None = None
    max_opens: int = 10

    def __post_init__(self) -> None:
        for name, bound in (
            ("max_searches", 0),
            ("max_turns", 1),
            ("retries", 0),
            ("max_tokens", 1),
            ("max_opens", 0),
        ):
            value = getattr(self, name)
            if value is not None and not bound <= value <= MAX_NUMBER:
                raise ValueError(_out_of_range(name, value, bound))


@dataclass(frozen=True, slots=True)
class GameConfig:
    """Rules of one game.

    Attributes:
        protocol: Name of a preset in `PROTOCOLS`.
        prompts: Name of a prompt style in `PROMPT_STYLES`.
        attempts: K, independent attempts of the solver per valid question.
        top_k: Passages returned per search.
        max_passage_chars: Greatest length of a passage's text, and of its title, as players are shown them.
            What is longer is cut, says so, and is counted (`Outcome.metrics`); records keep it whole. The
            default is far above the passages of search corpora (100 words are 600 characters), so that it
            touches whole pages and books only; ten searches of three passages at the limit are 120,000
            characters, which an environment's prompt holds.
        max_evidence_chars: Greatest length of all passages of a reading together, so that they leave room for
            the question. If they are more, the longest are cut further, all to one length.
        proposer: Budget of the proposer.
        solver: Budget of each attempt of the solver.
        min_searches: Searches the proposer must have made that found something (released code: 2).
        hop_check: Whether the proposer must have made at least, or exactly, as many searches as hops were
            asked for.
        min_question_chars: Least length of a question in characters.
        max_question_chars: Greatest length of a question in characters.
        min_question_words: Least number of words in a question, as `ssp_env.scoring.words.count_words` does;
            with terse prompts, of tokens.
        leak_forms: Forms beside its own in which a question may not name the answer, of
            `leak_forms.LEAK_FORMS` (see `leak_forms.names_in_form`). Each may cost honest questions that look
            like one; `numbers` needs the extra `leaks`.
        self_contained: Whether a question is refused that points at the passages its reader is given (see
            `about_documents.is_about_documents`): the reader could answer it, and no solver.
        answer_in_search: Whether the proposer's searches may name the answer, in its own form or another of
            `leak_forms`.
        max_similarity: Greatest similarity to an earlier question (see `rules.similarity`), from 0 to 1;
            None allows repetition.
        rag_check: Whether a reader must recover the answer from the evidence (paper section 3.3).
        noise_passages: Noise passages mixed into the reader's evidence (paper table 3: 4).
        noise_unit: What counts as one of them: `passage`, as published, or `evidence`, everything another
            game's proposer retrieved, as in the released code.
        second_reading: Whether a second reading of the evidence, in another order and with other noise, must
            recover the answer too; it needs `rag_check` and costs one reading of every question that has
            passed all else.
        quote_check: Whether the reader must quote what its answer rests on: at least one quotation with
            `any`, with `per_hop` as many as hops were asked for, and each must stand word for word in a
            passage that it was shown (white space and case aside). A reader who makes the missing fact up
            does not pass; it needs `rag_check`.
        closed_book: Whether a question is refused that the reader answers without any passage.
        uniqueness: Whether a question is refused for which the reader lists an answer beside the right one.
        grounded: Whether the solver, too, must quote: an answer without a quotation, or with one that stands
            in nothing that its searches returned, is wrong.
        judge: Whether an answer that fails exact match goes to a judge.
        reward: The proposer's reward as a function of the solver's mean success p: a shape of
            `rewards.REWARD_SHAPES`, or a function of your own, itself or by its name,
            `package.module:function`. It is called once for every p there can be when the rules are made, and
            must give finite numbers. A function that other processes can import is kept by its name, so that
            the rules stay plain data; with another (a lambda, say) games can be played, but neither recorded
            nor pickled.
        invalid_reward: The proposer's reward for an invalid question (a negative one collapses training,
            paper appendix B.3).

    Raises:
        ValueError: If an option is out of its range; the message names the range.
        TypeError: If a budget is not a `Budget`, or the reward no function that gives numbers.
    """

    protocol: str = "default"
    prompts: str = "english"
    attempts: int = 1
    top_k: int = 3
    max_passage_chars: int = 4000
    max_evidence_chars: int = 200_000
    proposer: Budget = Budget()
    solver: Budget = Budget()
    min_searches: int = 2
    hop_check: HopCheck = "off"
    min_question_chars: int = 10
    max_question_chars: int = 1000
    min_question_words: int = 10
    leak_forms: tuple[LeakForm, ...] = ()
    self_contained: bool = True
    answer_in_search: bool = True
    max_similarity: float | None = None
    rag_check: bool = True
    noise_passages: int = 4
    noise_unit: NoiseUnit = "passage"
    second_reading: bool = False
    quote_check: QuoteCheck = "off"
    closed_book: bool = False
    uniqueness: bool = False
    grounded: bool = False
    judge: bool = False
    reward: str | RewardFunction = "1-acc"
    invalid_reward: float = 0.0

    def __post_init__(self) -> None:
        choices = (
            ("protocol", self.protocol, tuple(PROTOCOLS)),
            ("prompts", self.prompts, PROMPT_STYLES),
            ("noise_unit", self.noise_unit, get_args(NoiseUnit)),
            ("hop_check", self.hop_check, get_args(HopCheck)),
            ("quote_check", self.quote_check, get_args(QuoteCheck)),
        )
        for name, value, known in choices:
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
        object.__setattr__(self, "leak_forms", _leak_forms(self.leak_forms))
        least = {
            "attempts": 1, "top_k": 1, "max_passage_chars": 1, "max_evidence_chars": 1, "min_searches": 0,
            "noise_passages": 0, "min_question_words": 0, "min_question_chars": 0,
            "max_question_chars": self.min_question_chars,
        }  # fmt: skip
        for name, bound in least.items():
            if not bound <= getattr(self, name) <= MAX_NUMBER:
                raise ValueError(_out_of_range(name, getattr(self, name), bound))
        if self.attempts > MAX_ATTEMPTS:
            raise ValueError(f"attempts must be at most {MAX_ATTEMPTS:,}, got {self.attempts}")
        object.__setattr__(self, "reward", named_reward(self.reward))
        for right in range(self.attempts + 1):
            proposer_reward(self.reward, right / self.attempts)
        if self.second_reading and not self.rag_check:
            raise ValueError("second_reading=True needs rag_check=True: it is the RAG check that it repeats")
        if self.quote_check != "off" and not self.rag_check:
            raise ValueError(
                f"quote_check={self.quote_check!r} needs rag_check=True: it is the reader of the RAG check "
                "that quotes"
            )
        if self.max_similarity is not None and not 0 <= self.max_similarity <= 1:
            raise ValueError(f"max_similarity must be from 0 to 1, or None, got {self.max_similarity}")
        for name, budget in (("proposer", self.proposer), ("solver", self.solver)):
            if not isinstance(budget, Budget):
                raise TypeError(f"{name} must be a Budget, got {type(budget).__name__}")

    def to_dict(self) -> dict[str, Any]:
        """Return the rules as plain data, which `from_dict` takes.

        Raises:
            ValueError: If the reward is a function that other processes cannot import.
        """
        lists = {"leak_forms": list(self.leak_forms)}
        return asdict(self) | lists | {"reward": written_reward(self.reward)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> GameConfig:
        """Rebuild the rules from `to_dict`; a reward that is named there is imported and called.

        Raises:
            ValueError: If there are options this version does not know, or one is of another kind or out of
                its range.
        """
        check_names(data, [option.name for option in fields(cls)], "rule")
        check_plain(cls, data, "the rules")
        budgets = {seat: Budget(**data[seat]) for seat in ("proposer", "solver") if seat in data}
        return cls(**{**data, **budgets})

    @property
    def seats(self) -> tuple[str, ...]:
        """The proposer's seat, then one for each attempt of the solver: `solver_0`, `solver_1`, ..."""
        return (PROPOSER_SEAT, *(f"solver_{attempt}" for attempt in range(self.attempts)))

    @property
    def probes(self) -> tuple[Probe, ...]:
        """The readings a question must stand, in their order."""
        wanted: tuple[tuple[Probe, bool], ...] = (
            ("recovery", self.rag_check),
            ("closed_book", self.closed_book),
            ("uniqueness", self.uniqueness),
            # Last, so that what is refused anyway does not cost it.
            ("second_recovery", self.second_reading),
        )
        return tuple(probe for probe, on in wanted if on)

    def quotations_wanted(self, probe: Probe, hops: int) -> int:
        """How many quotations a reading needs for a question of so many hops."""
        if probe not in ("recovery", "second_recovery"):
            return 0
        return {"off": 0, "any": 1, "per_hop": hops}[self.quote_check]

    def with_budget(self, **limits: Any) -> GameConfig:
        """The same rules with some limits of both seats set.

        >>> GameConfig().with_budget(max_turns=5).solver
        Budget(max_searches=10, max_turns=5, retries=1, max_tokens=None, max_opens=10)
        """
        return replace(self, proposer=replace(self.proposer, **limits), solver=replace(self.solver, **limits))

    def changed(self, rules: Mapping[str, Any]) -> GameConfig:
        """Return these rules with some of them changed, as a rules file or a command line says it.

        Args:
            rules: Names of `GameConfig`; names of `Budget`, which then hold for all seats; or `proposer` or
                `solver` with a mapping of the limits that change for that role.

        Raises:
            ValueError: If a name is unknown (the nearest one is named), or a value is out of its range or of
                another kind than the one it replaces.

        >>> GameConfig().changed({"max_turns": 6, "solver": {"max_searches": 4}}).solver
        Budget(max_searches=4, max_turns=6, retries=1, max_tokens=None, max_opens=10)
        """
        limits = [option.name for option in fields(Budget)]
        check_names(rules, [*(option.name for option in fields(self)), *limits], "rule")
        shared = {name: value for name, value in rules.items() if name in limits}
        _check_kinds(self.solver, shared)
        base = self.with_budget(**shared)
        values = {name: value for name, value in rules.items() if name not in limits}
        for role in ("proposer", "solver"):
            if isinstance(values.get(role), Mapping):
                check_names(values[role], limits, f"limit of the {role}")
                _check_kinds(self.solver, values[role])
                values[role] = replace(getattr(base, role), **values[role])
        _check_kinds(base, values)
        return replace(base, **values)


def _check_kinds(options: GameConfig | Budget, changes: Mapping[str, Any]) -> None:
    """Refuse values of another kind than those they replace, which a command line or a file may hold.

    Raises:
        ValueError: If there is one.
    """
    for name, value in changes.items():
        current = getattr(options, name)
        if isinstance(current, bool) or isinstance(value, bool):
            fits = isinstance(current, bool) and isinstance(value, bool)
        elif isinstance(current, float):
            fits = isinstance(value, int | float)
        elif isinstance(current, tuple):
            fits = isinstance(value, list | tuple)
        elif current is None or value is None:
            # Limits that may be absent are numbers where they are present.
            fits = value is None or isinstance(value, int | float)
        else:
            fits = isinstance(value, type(current)) or (name == "reward" and callable(value))
        if not fits:
            expected = "number" if current is None else _KINDS.get(type(current), type(current).__name__)
            raise ValueError(f"expected a value of type {expected} for the rule {name}, got {value!r}")


def _leak_forms(forms: Sequence[LeakForm]) -> tuple[LeakForm, ...]:
    """The forms in one order, each once, so that equal rules are equal.

    Raises:
        ValueError: If one is unknown, or needs a library that is not installed.
    """
    given = [forms] if isinstance(forms, str) else list(forms)
    check_names(map(str, given), LEAK_FORMS, "form of leak_forms")
    ordered = tuple(form for form in LEAK_FORMS if form in given)
    if missing := missing_library(ordered):
        raise ValueError(f"leak_forms: {missing}")
    return ordered


def _out_of_range(name: str, value: float, bound: int) -> str:
    if value > MAX_NUMBER:
        return f"{name} must be at most {MAX_NUMBER:,}, got {value}"
    return f"{name} must be at least {bound}, got {value}"


def check_names(given: Iterable[str], known: Sequence[str], what: str) -> None:
    """Refuse names that are not known, and suggest the nearest one that is.

    Raises:
        ValueError: If a given name is unknown.

    >>> check_names(["min_serches"], ["min_searches", "top_k"], "rule")
    Traceback (most recent call last):
    ValueError: unknown rule 'min_serches': did you mean 'min_searches'?
    """
    for name in given:
        if name not in known:
            nearest = get_close_matches(name, known, n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"expected one of {', '.join(known)}"
            raise ValueError(f"unknown {what} {name!r:.100}: {hint}")


TERSE_RULES = GameConfig(
    protocol="terse",
    prompts="terse",
    top_k=2,
    min_question_chars=6,
    min_question_words=4,
).with_budget(max_searches=4, max_turns=6, retries=0)
"""The rules of games with terse prompts: questions are short, and players know the form by heart."""

"""A Gymnasium wrapper that gives any text environment a search action."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any, SupportsFloat, TypeAlias

import gymnasium
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Dict, Space, Text
from gymnasium.utils import RecordConstructorArgs

from ssp_env.envs.spaces import MAX_ACTION_CHARS, UnicodeText
from ssp_env.game import PROTOCOLS, Failure
from ssp_env.game.passage import Passage
from ssp_env.objects import check_least
from ssp_env.play import AnyEngine, guarded, run_searches
from ssp_env.play.results import as_passages
from ssp_env.search.adapters import as_engine
from ssp_env.search.engine import SearchEngine
from ssp_env.search.tool import SearchCall, SearchTool

SearchFunction: TypeAlias = Callable[[str], str | Sequence[Passage]]

_SHORTEST_QUERY = "x"


class SearchAction(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Lets the agent search: `<search> words </search>` shows passages instead of stepping the environment.

    A search costs no step of the wrapped environment: its passages are the observation, its reward is 0 and
    the episode goes on. Other entries of a `Dict` observation stay as they were. Everything else the agent
    writes goes to the wrapped environment unchanged, a search tag without words or without end too. Searches
    beyond `max_searches` per episode are not run and get a notice. Put a `TimeLimit` around this wrapper, not
    inside, if searches should count as steps.

    `info["search"]` has, after `reset` and every step, the counters of the episode: `executed`, `refused`,
    `left` and `cut_chars` (what results had beyond `max_result_chars`), and the last `query` run. If the
    engine fails, the episode is truncated with reward 0 and the last observation, `info["reason"]` is
    `"error"` and `info["detail"]` says why.

    Args:
        env: Its actions must be `Text`, its observations `Text` or a `Dict` with exactly one `Text`.
        search: A search engine or a retriever that `as_engine` takes, a `SearchTool`, or a function from a
            query to passages or to the text to show. A tool counts its own budget anew in every episode and
            lays out its passages itself.
        max_searches: Searches per episode, 0 or more.
        top_k: Passages a search engine returns per search; a tool has its own.
        protocol: Name of the preset in `PROTOCOLS` that owns the tags and the layout of passages.
        max_result_chars: Greatest length of what a search shows; the rest is cut.

    Raises:
        TypeError: If `search` cannot be searched.
        ValueError: If a space does not fit or an argument is out of range.

    Example:
        >>> import gymnasium, ssp_env
        >>> env = SearchAction(gymnasium.make("SearchSelfPlay/Solver-v1"), lambda query: f"all about {query}")
        >>> _ = env.reset(seed=0)
        >>> observation, reward, *_, info = env.step("Hm. <search> blue whale </search>")
        >>> observation["prompt"], reward, info["search"]["left"]
        ('all about blue whale', 0.0, 9)
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        search: AnyEngine | SearchTool | SearchFunction,
        *,
        max_searches: int = 10,
        top_k: int = 3,
        protocol: str = "default",
        max_result_chars: int = MAX_ACTION_CHARS,
    ) -> None:
        RecordConstructorArgs.__init__(
            self,
            _disable_deepcopy=True,
            search=search,
            max_searches=max_searches,
            top_k=top_k,
            protocol=protocol,
            max_result_chars=max_result_chars,
        )
        super().__init__(env)
        check_least(0, max_searches=max_searches)
        check_least(1, top_k=top_k, max_result_chars=max_result_chars)
        if protocol not in PROTOCOLS:
            raise ValueError(f"protocol must be one of {', '.join(PROTOCOLS)}, got {protocol!r}")
        self._search = search if callable(search) else as_engine(search)
        self._max_searches = max_searches
        self._top_k = top_k
        self._protocol = PROTOCOLS[protocol]
        if self._protocol.open:
            raise ValueError(f"the wrapper opens no pages: choose a protocol without open, got {protocol!r}")
        self._max_chars = max_result_chars
        self._key = _text_key(env.observation_space)
        self.observation_space = self._widened(env.observation_space)
        self.action_space = self._opened(env.action_space)
        self._over = True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode of the wrapped environment with a full search budget."""
        observation, info = self.env.reset(seed=seed, options=options)
        if isinstance(self._search, SearchTool):
            self._search = self._search.episode()
        self._executed = self._refused = self._cut_chars = 0
        self._query = ""
        self._over = False
        return self._kept(observation), {**info, "search": self._counters()}

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Search, or step the wrapped environment.

        Raises:
            TypeError: If the action is not a string.
            gymnasium.error.ResetNeeded: If no episode is going on.
        """
        if self._over:
            raise ResetNeeded("no episode is going on: call reset() before step()")
        if not isinstance(action, str):
            raise TypeError(f"an action must be a string, got {type(action).__name__}")
        parsed = self._protocol.parse(action, "answer")
        if parsed.kind == "search":
            return self._step_search(parsed.content)
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._over = terminated or truncated
        return self._kept(observation), reward, terminated, truncated, {**info, "search": self._counters()}

    def _step_search(self, query: str) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        if self._executed >= self._max_searches:
            self._refused += 1
            shown: str | Failure = self._protocol.notify("search_limit")
        else:
            shown = self._found(query)
        if isinstance(shown, Failure):
            self._over = True
            info = {"reason": "error", "detail": shown.detail, "search": self._counters()}
            return deepcopy(self._last), 0.0, False, True, info
        text = shown[: self._max_chars]
        self._cut_chars += len(shown) - len(text)
        observation = text if self._key is None else {**deepcopy(self._last), self._key: text}
        return observation, 0.0, False, False, {"search": self._counters()}

    def _found(self, query: str) -> str | Failure:
        search = self._search
        found: str | Sequence[Passage] | Failure
        if isinstance(search, SearchTool):
            return self._told(search, query)
        if isinstance(search, SearchEngine):
            found = run_searches(search, [query], self._top_k)[0]
        else:
            found = guarded("search", lambda: _as_shown(search(query)))
        if isinstance(found, Failure):
            return found
        self._executed += 1
        self._query = query
        return found if isinstance(found, str) else self._protocol.observe(found)

    def _told(self, tool: SearchTool, query: str) -> str | Failure:
        """What the tool shows: a search that is not allowed is refused, one that breaks is a failure."""
        results = guarded("search", lambda: tool.run([SearchCall(query)]))
        if isinstance(results, Failure):
            return results
        (result,) = results
        if result.error is None:
            self._executed += 1
            self._query = query
        elif result.error.kind in ("timeout", "engine"):
            return Failure(f"search: {result.error.detail}")
        else:
            self._refused += 1
        return result.text

    def _kept(self, observation: Any) -> Any:
        """Remember what the wrapped environment showed last, out of the agent's reach."""
        self._last = deepcopy(observation)
        return observation

    def _counters(self) -> dict[str, Any]:
        return {
            "executed": self._executed,
            "refused": self._refused,
            "left": self._max_searches - self._executed,
            "query": self._query,
            "cut_chars": self._cut_chars,
        }

    def _widened(self, space: Space[Any]) -> Space[Any]:
        """The observation space with room for passages."""
        if isinstance(space, Dict):
            return Dict(
                {key: self._widened(part) if key == self._key else part for key, part in space.items()}
            )
        assert isinstance(space, Text)
        return UnicodeText(max(space.max_length, self._max_chars))

    def _opened(self, space: Space[Any]) -> UnicodeText:
        """The action space, of the same lengths, with room for every character."""
        if not isinstance(space, Text):
            raise ValueError(f"SearchAction needs an environment with Text actions, got {space}")
        shortest = self._protocol.wrap(self._protocol.search, _SHORTEST_QUERY)
        if space.max_length < len(shortest):
            raise ValueError(
                f"SearchAction needs actions of at least {len(shortest)} characters, for {shortest!r}; "
                f"those of the environment have at most {space.max_length}"
            )
        charset = "".join(space.character_list)
        return UnicodeText(space.max_length, min_length=space.min_length, charset=charset)


def _as_shown(found: str | Sequence[Passage]) -> str | list[Passage]:
    return found if isinstance(found, str) else as_passages(found)


def _text_key(space: Space[Any]) -> str | None:
    """The key of the one text in a `Dict` observation; None if the observation itself is the text."""
    if isinstance(space, Text):
        return None
    keys = [key for key, part in space.items() if isinstance(part, Text)] if isinstance(space, Dict) else []
    if len(keys) != 1:
        raise ValueError(
            "SearchAction needs Text observations or a Dict with exactly one Text, "
            f"got {space}" + (f" with {len(keys)}" if isinstance(space, Dict) else "")
        )
    return str(keys[0])

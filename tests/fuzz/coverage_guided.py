"""Coverage-guided fuzzing of parser, rules and game with atheris: `python -m tests.fuzz.coverage_guided`.

atheris is not among the project's dependencies; install it where this runs (`pip install atheris`). Arguments
are libFuzzer's, for instance `-max_total_time=300 -max_len=4096`. An exception ends the run and leaves the
input that raised it in a file `crash-...`; give that file as argument to see it again.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssp_env.game import GameConfig, Reply

REPORT_EVERY = 10_000


class Target:
    """Plays one game of the turns that an input spells, with every request served from it.

    Attributes:
        turns: Turns played so far.
        inputs: Inputs played so far.
    """

    def __init__(self, atheris: Any) -> None:
        self._provider = atheris.FuzzedDataProvider
        self.turns = 0
        self.inputs = 0

    def __call__(self, data: bytes) -> None:
        """Play an input."""
        from ssp_env.game import PROTOCOLS, Game, Judge, Read, Search, Turn
        from ssp_env.game.events import ReadingGiven, TurnTaken
        from tests.fuzz.games import check_action, check_end
        from tests.game.doubles import PAGES, TASK

        provider = self._provider(data)
        game = Game(TASK, self._config(provider, provider.PickValueInList(sorted(PROTOCOLS))))
        while requests := game.requests():
            request = requests[0]
            if isinstance(request, Turn | Read):
                game.submit(request.id, self._reply(provider, game.protocol.calls == "native"))
            elif isinstance(request, Judge):
                game.submit(request.id, provider.ConsumeBool())
            else:
                count = 3 if isinstance(request, Search) else request.count
                game.submit(request.id, list(PAGES[:count]) if provider.ConsumeBool() else [])
        for event in game.events:
            if isinstance(event, TurnTaken | ReadingGiven):
                check_action(game, event)
                self.turns += 1
        check_end(game, thoroughly=self.inputs % 50 == 0)
        self.inputs += 1
        if self.inputs % REPORT_EVERY == 0:
            print(f"{self.inputs:,} inputs, {self.turns:,} turns", file=sys.stderr, flush=True)

    def _config(self, provider: Any, protocol: str) -> GameConfig:
        from ssp_env.game import GameConfig

        return GameConfig(
            protocol=protocol,
            prompts="terse",
            min_searches=provider.ConsumeIntInRange(0, 2),
            min_question_words=provider.ConsumeIntInRange(0, 10),
            rag_check=provider.ConsumeBool(),
            judge=provider.ConsumeBool(),
            noise_passages=1,
            uniqueness=provider.ConsumeBool(),
        ).with_budget(max_turns=4, retries=provider.ConsumeIntInRange(0, 3))

    def _reply(self, provider: Any, native: bool) -> Reply:
        """Raw text, or text in which tags and words are put together from a list."""
        from ssp_env.game import Reply, ToolCall
        from tests.fuzz.texts import CONTROL_TOKENS, HORRORS, JSON_PIECES, TAGS, WORDS

        if provider.ConsumeBool():
            text = provider.ConsumeUnicode(provider.ConsumeIntInRange(0, 500))
        else:
            tags = [f"<{slash}{tag}>" for tag in TAGS for slash in ("", "/")]
            pieces = [*tags, *CONTROL_TOKENS, *HORRORS, *JSON_PIECES, *(word + " " for word in WORDS)]
            count = provider.ConsumeIntInRange(0, 30)
            text = "".join(provider.PickValueInList(pieces) for _ in range(count))
        if native and provider.ConsumeBool():
            return Reply(
                text[:9], tool_calls=(ToolCall("c", provider.PickValueInList(["search", "x"]), text),)
            )
        return Reply(text)


def main() -> None:
    """Instrument the game, then hand over to libFuzzer."""
    try:
        import atheris
    except ImportError:
        sys.exit("this needs atheris: pip install atheris")
    with atheris.instrument_imports(include=["ssp_env"]):
        importlib.import_module("ssp_env.game.game")
    target = Target(atheris)
    atheris.Setup(sys.argv, target)
    # libFuzzer ends the process itself, without a word to Python: the count is printed as it goes.
    atheris.Fuzz()


if __name__ == "__main__":
    main()

"""Real vLLM servers under real games, one of which is killed in the middle.

`python -m tests.agents.real_vllm --urls http://127.0.0.1:8000,http://127.0.0.1:8001 --kill PID` plays SmolLM2
against itself on both servers, kills the process PID (that of one server) once a few turns are over, and says
how the games ended. Start each server with `--dtype float32 --logprobs-mode processed_logprobs`, and on a
CPU with `--no-enable-chunked-prefill` (see docs/vllm.md).
"""

import asyncio
import os
import signal
from collections import Counter
from typing import Annotated

import typer
from transformers import AutoTokenizer

from agents import smollm2
from agents.sampling_params import SamplingParams
from agents.vllm.served import VLLMServerAgent
from ssp_env.play import play_async
from ssp_env.scenario import open_scenario


class Killer:
    """Hands views on, and kills a process when it has seen so many turns."""

    def __init__(self, player, pid, after):
        self.player, self.pid, self.after = player, pid, after
        self.turns = 0

    async def act(self, view):
        reply = await self.player.act(view)
        self.turns += 1
        print(f"turn {self.turns}: {view.game_id} {view.seat} {reply.text!r}", flush=True)
        if self.turns == self.after:
            print(f"killing {self.pid}", flush=True)
            os.kill(self.pid, signal.SIGKILL)
        return reply


def main(
    urls: Annotated[str, typer.Option()],
    kill: Annotated[int, typer.Option()],
    games: Annotated[int, typer.Option()] = 32,
    after: Annotated[int, typer.Option()] = 20,
    max_new_tokens: Annotated[int, typer.Option()] = 32,
    max_turns: Annotated[int, typer.Option()] = 3,
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(smollm2.checkpoint(), local_files_only=True)
    sampling = SamplingParams(temperature=0.8, top_p=1.0, max_new_tokens=max_new_tokens)
    player = VLLMServerAgent(
        urls.split(","), tokenizer, sampling=sampling, rendering="plain", require_logprobs=True,
        context_window=2048, timeout=900.0,
    )  # fmt: skip
    player.connect()
    scenario = open_scenario("small", hops=(2,), prompts="few_shot", rules={"max_turns": max_turns})
    played = scenario.games(scenario.draw_tasks(games))
    killer = Killer(player, kill, after)
    asyncio.run(play_async(played, proposer=killer, solver=killer, search=scenario.search))
    print(Counter((game.outcome.verdict, game.outcome.reason) for game in played))
    broken = [game.outcome.rewards for game in played if game.outcome.verdict == "error"]
    assert not any(value for rewards in broken for value in rewards.values()), broken


if __name__ == "__main__":
    typer.run(main)

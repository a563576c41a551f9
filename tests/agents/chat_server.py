"""A real chat endpoint on this machine, whose model is a function, and games to play with it."""

from contextlib import contextmanager

from ssp_env.game import Game, GameConfig, Task
from tests.game.doubles import PROPOSAL, answer
from tests.search.remote_server import Reply, remote

KEY = "sk-do-not-tell-anybody-0123456789"
USAGE = {"prompt_tokens": 100, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 40}}
ASK = [{"role": "user", "content": "Where is Odense?"}]


def completion(text, finish_reason="stop", *, message=None, usage=USAGE, top=None, **choice):
    """What an endpoint returns; `message`, `top` and the rest add fields to message, reply and choice."""
    said = {"role": "assistant", "content": text, **(message or {})}
    choices = [{"index": 0, "message": said, "finish_reason": finish_reason, **choice}]
    return {"object": "chat.completion", "choices": choices, "usage": usage, **(top or {})}


@contextmanager
def chat_server(*replies):
    """Give these replies in turn and the last one for ever; a function makes a reply of a request's JSON.

    Yields the base address and the list of what was asked.
    """
    count = []

    def respond(request):
        count.append(1)
        given = replies[min(len(count), len(replies)) - 1]
        if callable(given):
            given = given(request.json())
        return given if isinstance(given, Reply) else Reply(given)

    with remote(respond) as (address, asked):
        yield f"{address}/v1", asked


def model(request):
    """Plays every role of the game over `tests.game.doubles.PAGES`, and stops as endpoints do."""
    said = sum(message["role"] == "assistant" for message in request["messages"])
    text = PROPOSAL[said] if "</question>" in request["stop"] else answer("Tavor")
    for stop in request["stop"]:
        text = text.split(stop)[0]
    return completion(text)


def games(count=1, **config):
    return [Game(Task("Tavor", id=str(number)), GameConfig(**config), rng=number) for number in range(count)]

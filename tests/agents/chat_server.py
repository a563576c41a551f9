"""A real chat endpoint on this machine, whose model is a function, and games to play with it."""

import json
from contextlib import contextmanager

from ssp_env.game import Game, Task
from tests.game.doubles import PROPOSAL, answer
from tests.search.remote_server import Reply, remote

USAGE = {"prompt_tokens": 100, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 40}}
KEY = "sk-do-not-tell-anybody-0123456789"


def completion(text, finish_reason="stop", **choice):
    """What an endpoint returns; fields of the message are given as `message`."""
    message = {"role": "assistant", "content": text, **choice.pop("message", {})}
    choices = [{"index": 0, "message": message, "finish_reason": finish_reason, **choice}]
    return {"object": "chat.completion", "model": "small", "choices": choices, "usage": USAGE}


@contextmanager
def chat_server(*replies):
    """Give these replies in turn and the last one for ever; a function makes a reply of a request's JSON.

    Yields the base address and the list of what was asked.
    """
    asked = []

    def respond(request):
        asked.append(request)
        given = replies[min(len(asked), len(replies)) - 1]
        if callable(given):
            given = given(request.json())
        return given if isinstance(given, Reply) else Reply(given)

    with remote(respond) as (address, _):
        yield f"{address}/v1", asked


def model(request):
    """Plays every role of the game over `tests.game.doubles.PAGES`, and stops as endpoints do."""
    said = sum(message["role"] == "assistant" for message in request["messages"])
    text = PROPOSAL[said] if "</question>" in request["stop"] else answer("Tavor")
    for stop in request["stop"]:
        text = text.split(stop)[0]
    return completion(text)


def games(count=1, **config):
    return [Game(Task("Tavor", id=str(number)), rng=number, **config) for number in range(count)]


def size_of(request):
    return len(json.dumps(request.json()))

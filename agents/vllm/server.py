"""One vLLM server: the requests it takes, and the errors that its replies stand for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from agents.vllm.errors import (
    NoServerLeft,
    PromptTooLong,
    RequestRefused,
    ServerUnavailable,
    UnfitServer,
    VLLMError,
)
from agents.vllm.logprobs import PROBE_TEMPERATURE, LogprobsMode, mode_of, probe_request
from agents.vllm.turn import Completion, read_completion
from ssp_env.http import Answer, HTTPService, ReplyTooLong, RequestPolicy, redact, service_url

UNSET_VERSION = "default"
"""What vLLM calls weights that nobody gave a version."""
_EXCERPT_CHARACTERS = 300
_NO_SUCH_PATH = (404, 405, 501)


@dataclass(eq=False)
class Server:
    """One server; its coroutines run on the loop of `ssp_env.http`.

    Attributes:
        url: Its address, without `/v1`.
        service: Sends requests to it.
        api_key: Sent as bearer token; empty for none.
        weights_version: Version of the weights it serves.
        weights_unknown: Whether an update failed half-way.
        adapters: By adapter: the name it is served under and its version.
    """

    url: str
    service: HTTPService
    api_key: str = field(default="", repr=False)
    weights_version: str = ""
    weights_unknown: bool = False
    adapters: dict[str, tuple[str, str]] = field(default_factory=dict)

    async def complete(self, request: Mapping[str, Any], model: str) -> Completion:
        """Sample one reply with a model or an adapter of this server.

        Raises:
            ServerUnavailable: If there is no usable reply.
            RequestRefused: If the server refuses the request.
        """
        served, version = self.adapters.get(model, (model, ""))
        versions = [part for part in (self.weights_version, version) if part]
        try:
            reply = await self.post("/v1/completions", {**request, "model": served})
            return read_completion(reply, weights_version="+".join(versions))
        except RequestRefused as error:
            # The model was there when the server was admitted: it has been started anew without it.
            if error.status not in _NO_SUCH_PATH:
                raise
            raise ServerUnavailable(str(error)) from error
        except ServerUnavailable as error:
            raise ServerUnavailable(self._named(str(error))) from error

    async def models(self) -> dict[str, int | None]:
        """Return the names of the model with its context window, and the names of adapters with None."""
        listed = await self.get("/v1/models")
        try:
            return {
                str(model["id"]): None if model.get("parent") else int(model["max_model_len"])
                for model in listed["data"]
            }
        except (KeyError, TypeError, ValueError, AttributeError):
            raise UnfitServer(
                f"expected models and their max_model_len from {self.url}/v1/models: is it vLLM?"
            ) from None

    async def logprobs_mode(self, model: str) -> LogprobsMode:
        """Find out by two small requests which log-probabilities it reports."""
        replies = [
            await self.post("/v1/completions", {**probe_request(temperature), "model": model})
            for temperature in (1.0, PROBE_TEMPERATURE)
        ]
        if not all(isinstance(reply, Mapping) for reply in replies):
            raise ServerUnavailable(self._named("expected JSON in reply to a completion, got something else"))
        return mode_of(*replies)

    async def tokenize(self, model: str, text: str) -> list[int] | None:
        """Return its ids of a text; None if it does not tell."""
        asked = {"model": model, "prompt": text, "add_special_tokens": False}
        reply = await self._optional("POST", "/tokenize", asked)
        tokens = reply.get("tokens") if isinstance(reply, Mapping) else None
        return tokens if isinstance(tokens, list) else None

    async def stated_version(self) -> str | None:
        """Return the version somebody gave its weights; None if nobody did or it does not tell."""
        reply = await self._optional("GET", "/weight_info")
        version = reply.get("weight_version") if isinstance(reply, Mapping) else None
        return None if version == UNSET_VERSION else version

    async def get(self, path: str) -> Any:
        """Fetch JSON."""
        return self._read(await self._exchange("GET", path))

    async def post(self, path: str, body: Mapping[str, Any] | None = None, **parameters: str) -> Any:
        """Send JSON and return the JSON that comes back; None if something else does.

        Raises:
            ServerUnavailable: If there is no reply, an error of the server, or no JSON where it must be.
            RequestRefused: If the server refuses it.
        """
        return self._read(await self._exchange("POST", path, body, parameters))

    async def _optional(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        try:
            return self._read(await self._exchange(method, path, body))
        except RequestRefused as error:
            if error.status in _NO_SUCH_PATH:
                return None
            raise

    async def _exchange(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> Answer:
        headers = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        request = httpx.Request(
            method, self.url + path, json=body, params=dict(parameters or {}), headers=headers
        )
        try:
            answer = await self.service.exchange(request)
        except (TimeoutError, httpx.TimeoutException) as error:
            seconds = self.service.policy.timeout
            raise ServerUnavailable(self._named(f"no complete reply within {seconds:g} s")) from error
        except (httpx.TransportError, httpx.DecodingError, ReplyTooLong) as error:
            raise ServerUnavailable(self._named(f"{type(error).__name__}: {error}")) from error
        if answer.status >= 300:
            raise self._failure(answer)
        return answer

    def _read(self, answer: Answer) -> Any:
        if not answer.headers.get("content-type", "").startswith("application/json"):
            return None
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError):
            problem = f"expected JSON, got {len(answer.body)} bytes of something else"
            raise ServerUnavailable(self._named(problem)) from None

    def _failure(self, answer: Answer) -> VLLMError:
        said = _message(redact(answer.body.decode("utf-8", "replace"), [self.api_key]))
        problem = self._named(f"replied with status {answer.status}: {said}")
        if answer.status >= 500 or answer.status in (408, 425, 429):
            return ServerUnavailable(problem)
        if answer.status == 400 and re.search(r"context length|max_model_len|longer than the maximum", said):
            return PromptTooLong(
                f"{problem}; shorten the prompts, lower max_new_tokens or context_window, "
                "or start the server with a larger --max-model-len"
            )
        hints = {401: "; is the API key right?", 403: "; is the API key allowed to do this?"}
        return RequestRefused(problem + hints.get(answer.status, ""), answer.status)

    def _named(self, problem: str) -> str:
        text = problem if self.url in problem else f"{self.url}: {problem}"
        return redact(text, [self.api_key])


def server_url(url: str) -> str:
    """Check an address and return it without `/v1` and a slash at its end.

    Raises:
        ValueError: If it is no HTTP address, or holds a password or parameters.

    >>> server_url("http://127.0.0.1:8000/v1/")
    'http://127.0.0.1:8000'
    """
    return str(service_url(url).copy_with(fragment=None)).rstrip("/").removesuffix("/v1")


def first_served(urls: Sequence[str]) -> tuple[str, str | None]:
    """Return the name of the model of the first server that answers, and the folder it was loaded from.

    If the server does not tell them, the name is empty and the folder None.

    Raises:
        NoServerLeft: If no server answers.
    """
    problems = []
    for url in urls:
        service = HTTPService(RequestPolicy(timeout=30.0, max_retries=0))
        try:
            answer = service.send(httpx.Request("GET", f"{url}/v1/models"))
            if answer.status >= 300:
                problems.append(f"{url}: replied with status {answer.status}")
                continue
            model = json.loads(answer.body)["data"][0]
            return str(model["id"]), str(model["root"])
        except (TimeoutError, httpx.HTTPError, ReplyTooLong) as error:
            problems.append(f"{url}: {type(error).__name__}: {error}")
        except (ValueError, KeyError, IndexError, TypeError, RecursionError):
            return "", None
        finally:
            service.close()
    raise NoServerLeft(f"no vLLM server can be reached: {'; '.join(problems)}")


def _message(body: str) -> str:
    """What an error reply says."""
    text = body[: 8 * _EXCERPT_CHARACTERS]
    try:
        data = json.loads(text)
        said = data.get("error", data)
        text = str(said["message"] if isinstance(said, dict) else said)
    except (ValueError, KeyError, AttributeError):
        pass
    return text[:_EXCERPT_CHARACTERS]

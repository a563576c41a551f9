"""A chat model behind an OpenAI-compatible endpoint, as the writer of `SimulatedEngine`."""

from __future__ import annotations

import httpx

from ssp_env.game.view import text_of
from ssp_env.http import RequestPolicy, arun, run
from ssp_env.search.errors import BadSearchReply
from ssp_env.search.json_service import JSONService, read_key
from ssp_env.search.simulated import Messages


class ChatEndpoint:
    """An OpenAI-compatible `/chat/completions`, callable with messages.

    Args:
        url: Address up to and including the version, such as `http://localhost:8000/v1`.
        model: Name of the model there.
        api_key_variable: Environment variable with the key; no key is sent when None.
        temperature: Of sampling; 0 for the most likely text.
        seed: Sent along unless None, for endpoints that sample reproducibly.
        max_new_tokens: Most tokens of a reply.
        policy: Time, retries, rate and concurrency.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        api_key_variable: str | None = None,
        temperature: float = 0.0,
        seed: int | None = 0,
        max_new_tokens: int = 1024,
        policy: RequestPolicy = RequestPolicy(timeout=120),  # noqa: B008 - frozen
    ) -> None:
        self._url = f"{url.rstrip('/')}/chat/completions"
        self._api_key_variable = api_key_variable
        body = {"model": model, "temperature": temperature, "max_tokens": max_new_tokens, "seed": seed}
        self._body = {name: value for name, value in body.items() if value is not None}
        self._service = JSONService(policy, f"chat endpoint {model}")

    def __call__(self, messages: Messages) -> str:
        """Return the text of the reply.

        Raises:
            SearchError: SearchTimeout, SearchUnavailable, SearchRefused or BadSearchReply.
        """
        return run(self._ask(messages))

    async def acall(self, messages: Messages) -> str:
        """Return the text of the reply, without blocking."""
        return await arun(self._ask(messages))

    async def _ask(self, messages: Messages) -> str:
        headers = (
            {"Authorization": f"Bearer {read_key(self._api_key_variable)}"} if self._api_key_variable else {}
        )
        body = {**self._body, "messages": messages}
        reply = await self._service.call(httpx.Request("POST", self._url, headers=headers, json=body))
        try:
            content = reply["choices"][0]["message"]["content"]
            text = None if content is None else text_of(content)
        except (KeyError, IndexError, TypeError):
            text = None
        if text is None:
            raise BadSearchReply("expected choices[0].message.content in the reply of the chat endpoint")
        return text

"""The errors of sampling with vLLM; a game that meets one of them ends as `error`, which pays nobody."""

from __future__ import annotations


class VLLMError(RuntimeError):
    """A turn that could not be sampled, through no fault of the player."""


class ServerUnavailable(VLLMError):
    """One server did not give a usable reply; another one may."""


class NoServerLeft(VLLMError):
    """No server gave a usable reply in time."""


class RequestRefused(VLLMError):
    """A server refuses the request itself, as every other one would.

    Attributes:
        status: Status of HTTP.
    """

    def __init__(self, problem: str, status: int = 400) -> None:
        super().__init__(problem)
        self.status = status


class PromptTooLong(RequestRefused):
    """Prompt and reply do not fit the server's context window."""


class UnfitServer(VLLMError):
    """A server runs, but with other options than its user needs; the message says which to change."""


class LogprobsUnfit(UnfitServer):
    """Log-probabilities are needed at the sampling temperature, and this server reports others or none."""


class WeightsNotUpdated(VLLMError):
    """No server took the new weights."""

"""HTTP for clients of remote services: retries, limits and deadlines, blocking and with asyncio."""

from ssp_env.http.background import arun, run
from ssp_env.http.policy import RequestPolicy, RetryPolicy
from ssp_env.http.service import Answer, HTTPService, ReplyTooLong

__all__ = ["Answer", "HTTPService", "ReplyTooLong", "RequestPolicy", "RetryPolicy", "arun", "run"]

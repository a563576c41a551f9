"""What verifiers finds by the id `ssp-env-verifiers`: the game of `ssp_env.integrations.verifiers`."""

from ssp_env.integrations.verifiers import SearchSelfPlayEnv, SearchSelfPlayTaskset

__all__ = ["SearchSelfPlayEnv", "SearchSelfPlayTaskset"]

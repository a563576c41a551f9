"""Servers of a search engine: HTTP in the protocol of Search-R1, and MCP."""

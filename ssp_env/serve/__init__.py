"""A search engine offered to others: HTTP in the protocol of Search-R1, and MCP."""

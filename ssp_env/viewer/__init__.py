"""Games for people to read."""

"""Attacks on games, files, builds and servers, counted: `python -m benchmarks.attacks`."""

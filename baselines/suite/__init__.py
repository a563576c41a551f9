"""SSP-Bench: fixed tasks and budgets, entries of anybody, reproducible results, a leaderboard."""

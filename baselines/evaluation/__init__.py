"""Measures players: question sets, metrics, controls, paired tests, tables; and both roles side by side."""

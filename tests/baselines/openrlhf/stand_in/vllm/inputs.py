"""Prompts of the engine."""

TokensPrompt = dict

"""Who plays: scripted players, tiny policies, language models. Nothing is imported until it is asked for."""

"""The search tool and the game for other frameworks: one module each, imported only if you import it."""

"""The search tool in the shapes of other frameworks: one module each, imported only if you import it."""

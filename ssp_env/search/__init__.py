"""Search engines behind one protocol, and the corpora they search."""

"""Drive one game or thousands, round by round or with asyncio: serve their requests until all games are over.

`play` and `play_async` play games to their end; `Driver` and `AsyncDriver` advance them step by step. All
four produce the same games, however many games are in progress and in whatever order answers arrive.
"""

from __future__ import annotations

import lazy_loader

# The stub beside this module says which names there are, and where each is loaded from when it is used first.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

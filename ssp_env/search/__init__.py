r"""Search engines behind one protocol, and the search tool for language models; no game needed.

Everything that most programs need can be imported from here. A name is loaded when it is used first, so that
engines whose libraries are not installed do no harm.

>>> from ssp_env.search import BM25Engine, Passage, SearchTool
>>> tool = SearchTool(BM25Engine([Passage("0", "Whale", "The blue whale is large.")]))
>>> tool("whales")
'Doc 1 (Title: Whale)\nThe blue whale is large.'
"""

from __future__ import annotations

import lazy_loader

# The stub beside this module says which names there are, and where each is loaded from when it is used first.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

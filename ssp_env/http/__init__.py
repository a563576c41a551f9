"""HTTP for clients of remote services: retries, limits and deadlines, blocking and with asyncio."""

from __future__ import annotations

import lazy_loader

# The stub beside this module says which names there are; the extra `remote` is needed when one is used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""Who learns: PPO, GRPO and REINFORCE for both roles, the self-play loop, and who is measured.

Nothing is loaded until a name is used first.
"""

from __future__ import annotations

import lazy_loader

# The stub beside this module says which names there are, and where each is loaded from when it is used first.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""What verl imports warns while it is imported; tests of what is ours go on without."""

import warnings
from contextlib import suppress
from importlib import import_module

with warnings.catch_warnings(), suppress(ImportError):
    warnings.simplefilter("ignore")
    import_module("verl.trainer.ppo.v1")

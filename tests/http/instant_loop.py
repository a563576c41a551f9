"""An event loop whose clock jumps over pauses, so that tests see what would have been waited for."""

import asyncio


class InstantLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        super().__init__()
        self._now = 0.0
        select = self._selector.select

        def jump(timeout):
            self._now += timeout or 0.0
            return select(0)

        self._selector.select = jump

    def time(self):
        return self._now


def run_instantly(coroutine):
    """Return what the coroutine returns; seconds are those of the loop's clock."""
    loop = InstantLoop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()

"""Several processes are started: `torchrun` takes the place of this one, which needs no torch for that."""

import os
import sys
from typing import NoReturn


def start(count: int) -> NoReturn:
    """Replace this process by `torchrun`, which runs the same command in so many processes here."""
    # Without the name of an interface, gloo looks the host's name up, which not every machine resolves.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    launcher = ["torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
    launcher += ["--nproc-per-node", str(count)]
    command = [sys.executable, "-m", *launcher, "-m", "ssp_env.cli", *sys.argv[1:]]
    os.execv(sys.executable, command)

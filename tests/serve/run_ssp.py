"""Runs the `ssp` command, for tests that need it in a process of its own."""

from ssp_env.cli import main

if __name__ == "__main__":
    main()

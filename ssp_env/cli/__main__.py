"""`python -m ssp_env.cli` is `ssp`, for launchers such as torchrun."""

from ssp_env.cli import main

if __name__ == "__main__":
    main()

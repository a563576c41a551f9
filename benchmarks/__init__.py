"""How fast the environment is, in figures that one run on one machine compares."""

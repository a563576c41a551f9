"""Measurements of speed, memory and exactness; figures are comparable within one run on one machine."""

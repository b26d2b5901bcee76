"""Sweeps: a grid of real trainings, each a row, kept as Parquet parts, so that a sweep that was ended goes on."""

from ravine.sweep.run import read, sweep

__all__ = ["read", "sweep"]

"""Tuning: a learning rate and a momentum for a training of yours, recommended with evidence."""

from ravine.tuning.recommendation import Exact, Recommendation
from ravine.tuning.verb import tune

__all__ = ["Exact", "Recommendation", "tune"]

"""Distances between crops, ranking and re-ranking a gallery by them, and scoring queries."""

from passerby.ranking.distance import Distance
from passerby.ranking.rank import rank
from passerby.ranking.ranking import Ranking
from passerby.ranking.reranking import Reranking

__all__ = ["Distance", "Ranking", "Reranking", "rank"]

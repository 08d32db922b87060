"""Search embeddings of audio files by cosine similarity: an index on disk, exact and approximate
queries, and near-identical pairs.
"""

from semisupcon.retrieval.duplicates import Pair, near_identical
from semisupcon.retrieval.exact import most_similar
from semisupcon.retrieval.index import Index, load_index
from semisupcon.retrieval.queries import Hit, best_hits

__all__ = [
    "Hit",
    "Index",
    "Pair",
    "best_hits",
    "load_index",
    "most_similar",
    "near_identical",
]

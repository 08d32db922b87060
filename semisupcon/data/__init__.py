"""From files and annotations to batches."""

from semisupcon.batch import Batch, DataFacts, labelled

__all__ = ["Batch", "DataFacts", "labelled"]

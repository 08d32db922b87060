"""From files and annotations to batches."""

from semisupcon.data.batch import Batch, DataFacts, labelled

__all__ = ["Batch", "DataFacts", "labelled"]

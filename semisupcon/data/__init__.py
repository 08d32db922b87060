"""Load annotations and audio files as batches for training."""

from semisupcon.batch import Batch, DataFacts, labelled

__all__ = ["Batch", "DataFacts", "labelled"]

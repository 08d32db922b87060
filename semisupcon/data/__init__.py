"""From annotations and audio files to batches."""

from semisupcon.batch import Batch, DataFacts, labelled

__all__ = ["Batch", "DataFacts", "labelled"]

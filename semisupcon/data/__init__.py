"""From files and annotations to batches."""

from semisupcon.data.batch import Batch, labelled

__all__ = ["Batch", "labelled"]

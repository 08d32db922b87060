"""Frozen embeddings of a task's clips, computed once and cached."""

"""Embed the clips of tasks with frozen encoders, and cache the embeddings."""

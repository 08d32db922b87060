"""Evaluation of frozen encoders on labelled tasks.

Each clip is embedded once, and all methods, seeds and folds use the same embeddings.
"""

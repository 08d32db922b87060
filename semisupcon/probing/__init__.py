"""Evaluation of frozen representations: clips are embedded once; all heads, seeds, folds and
methods use these embeddings.
"""

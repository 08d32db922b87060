"""Shared parts of the data sets: reading tables, finding files, labels and splits."""

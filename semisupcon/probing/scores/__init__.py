"""Metrics, confidence intervals, and tables of results."""

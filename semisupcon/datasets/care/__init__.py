"""Check, list and download data sets."""

"""Functions that data sets share: read tables, find files, convert labels, draw splits."""

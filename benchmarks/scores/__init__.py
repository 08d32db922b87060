"""Build the data set of rendered scores; see `benchmarks.scores.__main__` and docs/scores.md."""

"""Studies that test the claims of papers on real recordings.

Each study is one module and writes one CSV file. ``docs/results.md`` is made from these files.
"""

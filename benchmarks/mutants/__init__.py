"""Mutation testing of the package: do the tests notice when one place of the code is wrong?

mutmut says which changes can be made (a sign, a bound, a comparison, an argument left out);
`sample` draws some of them with a seed; `selection` finds the tests that could notice each; `trial`
runs them in a process forked from one that has imported the libraries already. Run
``make mutants``, or ``python -m benchmarks.mutants --help``.
"""

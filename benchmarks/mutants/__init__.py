"""Mutation testing: check that the tests detect small changes of the code.

mutmut lists the possible changes, such as another sign, bound or comparison, or a removed argument.
`sample` draws some of these mutants with a seed. `selection` finds the tests that could detect each
mutant. `trial` runs these tests in a process that is forked after all libraries are imported. Run
``make mutants``, or ``python -m benchmarks.mutants --help``.
"""

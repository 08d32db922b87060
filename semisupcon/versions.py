"""Versions of installed packages."""

import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

OWN = __name__.partition(".")[0]


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of the given packages, in order; packages that are not installed are left
    out.

    The version of this package is that of its code, which in a clone may be newer than the
    installation.
    """
    found = {}
    for name in packages:
        if name == OWN:
            found[name] = sys.modules[OWN].__version__
            continue
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found

"""Find the tests that could detect a change in a module, from the imports of modules and tests.

The order is: tests with the same path as the module, tests that import it directly, other tests.
"""

import ast
import re
from collections import deque
from functools import cached_property
from pathlib import Path

from benchmarks.mutants.sample import PACKAGE

# Tests that only read source code or imports, and cannot detect a change of behaviour.
BLIND = ("tests/test_layers.py", "tests/test_no_other_writes.py", "tests/test_old_names.py")
# Maximum number of near test files for a module that no test imports directly.
FEW = 6
# Tests that can detect changes in all modules without importing them.
ALWAYS = ("tests/test_defaults.py",)


class Selection:
    """The import graph of package and tests.

    Args:
        root: folder of the repository.
    """

    def __init__(self, root: Path):
        self.root = root
        self.files = {
            self.module_of(p): p
            for folder in (PACKAGE, "tests")
            for p in sorted((root / folder).rglob("*.py"))
        }
        self.tests = [
            name
            for name, p in self.files.items()
            if p.name.startswith("test_") and self.relative(p) not in BLIND
        ]

        self.slow = {
            name
            for name in self.tests
            if re.search(r"\bsubprocess\b|\branks\(", self.files[name].read_text())
        }

    def starts_processes(self, file: str) -> bool:
        """Return whether a file of tests, relative to the repository, starts processes."""
        return self.module_of(self.root / file) in self.slow

    def relative(self, path: Path) -> str:
        """Return a path relative to the repository, with slashes."""
        return path.relative_to(self.root).as_posix()

    def module_of(self, path: Path) -> str:
        """Return the module name of a file: ``a.b`` for ``a/b.py`` and ``a/b/__init__.py``."""
        return ".".join(path.relative_to(self.root).with_suffix("").parts).removesuffix(".__init__")

    @cached_property
    def imports(self) -> dict[str, set[str]]:
        """Modules that each module imports, also within functions, or names in a text.

        A name that a package re-exports counts as an import of the module that defines it.
        """
        return {name: self._read(name, path) for name, path in self.files.items()}

    def _read(self, name: str, path: Path) -> set[str]:
        text, found = path.read_text(), set()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found |= {self._origin(node.module, alias.name) for alias in node.names}
        found |= set(re.findall(rf"\b{PACKAGE}(?:\.[a-z_0-9]+)+", text))
        if name.startswith("tests."):
            # Tests use conftest.py without an import, and can import modules in their folders.
            folder = name.rpartition(".")[0]
            found |= {f"{folder}.{other}" for other in found} | {
                f"tests.{other}" for other in found
            }
            found |= {f"{folder}.conftest", "tests.conftest"}
        return {known for other in found if (known := self._known(other)) and known != name}

    def _known(self, name: str) -> str | None:
        while name and name not in self.files:
            name = name.rpartition(".")[0]
        return name or None

    def _origin(self, module: str, name: str) -> str:
        """Return the module that defines a name, also if a package re-exports the name."""
        path = self.files.get(module)
        if f"{module}.{name}" in self.files or path is None or path.name != "__init__.py":
            return f"{module}.{name}"
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom) and any(
                (alias.asname or alias.name) == name for alias in node.names
            ):
                return self._origin(
                    node.module, next(a.name for a in node.names if (a.asname or a.name) == name)
                )
        return module

    def for_module(self, path: str) -> tuple[list[str], list[str]]:
        """Return the paths of the near and the far tests of a file.

        Near tests have the same path as the file, or import it directly. If there are no such
        tests, near tests import a module that imports the file. Far tests import the file
        indirectly, or start processes.
        """
        target = self.module_of(self.root / path)
        distance, queue = {}, deque()
        importers: dict[str, set[str]] = {}
        for name, imported in self.imports.items():
            for other in imported:
                importers.setdefault(other, set()).add(name)
        queue.append((target, 0))
        while queue:
            module, steps = queue.popleft()
            for name in importers.get(module, ()):
                # An import of a test helper does not count as a step.
                further = steps + (not name.startswith("tests.") or name in self.tests)
                if name not in distance or further < distance[name]:
                    distance[name] = further
                    queue.append((name, further))
        mirror = f"tests/{Path(path).parent.relative_to(PACKAGE).as_posix()}/test_{Path(path).stem}.py".replace(
            "/./", "/"
        )
        beside = str(Path(mirror).parent)

        def rank(name: str) -> tuple:
            file = self.relative(self.files[name])
            breadth = sum(other.startswith(PACKAGE) for other in self.imports[name])
            return (
                file != mirror,
                distance[name] > 1,
                name in self.slow,
                str(Path(file).parent) != beside,
                distance[name],
                breadth,
                file,
            )

        reached = sorted((name for name in self.tests if name in distance), key=rank)
        direct = [
            name
            for name in reached
            if distance[name] <= 1 or self.relative(self.files[name]) == mirror
        ]
        # Tests that start processes are slow, so they count as far.
        near = [
            name
            for name in direct
            if name not in self.slow or self.relative(self.files[name]) == mirror
        ]
        near = (
            near
            or direct
            or [name for name in reached if distance[name] == distance[reached[0]]][:FEW]
        )
        far = [self.relative(self.files[name]) for name in reached if name not in near]
        near = [self.relative(self.files[name]) for name in near]
        near += [file for file in ALWAYS if file not in near and (self.root / file).exists()]
        return near, [file for file in far if file not in near]

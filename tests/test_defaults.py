"""Defaults are promises: a recipe that leaves an option out trains the same way in the next
version.

``golden/defaults.json`` holds those of the classes that users configure, ``golden/signatures.json``
those of all public functions and methods. New ones may be missing there;
``python -m tests.test_defaults`` writes all down anew.
"""

import importlib
import inspect
import json
import pkgutil
import sys
from pathlib import Path

import pytest

import semisupcon
from semisupcon import augmentations, public
from semisupcon.augmentations.transform import Transform
from semisupcon.data.datamodule import AudioDataModule
from semisupcon.probing.methods.settings import FineTuning, Settings, Training
from semisupcon.probing.studies.run import Studies
from semisupcon.training.callbacks import DrawMatrices, EndWell
from semisupcon.training.keeping import KeepCheckpoints
from semisupcon.training.objective import Objective

TABLE = Path(__file__).parent / "golden" / "defaults.json"
SIGNATURES = TABLE.with_name("signatures.json")
OTHERS = (
    AudioDataModule,
    FineTuning,
    Settings,
    Training,
    DrawMatrices,
    EndWell,
    KeepCheckpoints,
    Objective,
    Studies,
)


def classes() -> dict[str, type]:
    """All classes of the package that users configure, by name."""
    for module in Path(augmentations.__file__).parent.glob("*.py"):
        if module.stem != "__init__":
            importlib.import_module(f"{augmentations.__name__}.{module.stem}")
    found = {name: public.public_class(name) for name in public.CLASSES} | {
        cls.__name__: cls for cls in OTHERS
    }
    waiting = [Transform]
    while waiting:
        cls = waiting.pop()
        waiting += cls.__subclasses__()
        if cls.__module__.startswith("semisupcon."):
            found[cls.__name__] = cls
    return dict(sorted(found.items()))


def defaults(cls: type) -> dict[str, str]:
    """The options of a class that have a default, as text; of one that is no plain value its
    type."""
    plain = (bool, int, float, str, tuple, list, dict, type(None))
    given = {
        n: p.default
        for n, p in inspect.signature(cls).parameters.items()
        if p.default is not p.empty
    }
    return {
        n: repr(v) if isinstance(v, plain) else type(v).__name__ for n, v in sorted(given.items())
    }


def test_the_table_names_every_class():
    assert json.loads(TABLE.read_text()).keys() >= classes().keys()


@pytest.mark.parametrize("name", json.loads(TABLE.read_text()) if TABLE.exists() else [])
def test_defaults_stay(name):
    now, before = defaults(classes()[name]), json.loads(TABLE.read_text())[name]
    assert {option: now.get(option) for option in before} == before


def signatures() -> dict[str, dict[str, str]]:
    """The plain defaults of all public functions and methods of the package, by name."""
    found = {}
    for info in pkgutil.walk_packages(semisupcon.__path__, "semisupcon."):
        if info.name.endswith(("__main__", "old_names")):
            continue
        try:
            module = importlib.import_module(info.name)
        except ImportError:  # a package that is not installed
            continue
        for name, value in vars(module).items():
            if getattr(value, "__module__", None) != info.name or name.startswith("_"):
                continue
            parts = {name: value}
            if isinstance(value, type):
                parts |= {f"{name}.{n}": v for n, v in vars(value).items() if n[0] != "_"}
            for label, part in parts.items():
                if inspect.isfunction(part) or isinstance(part, type):
                    try:
                        options = defaults(part)
                    except ValueError:  # some exceptions have no signature
                        continue
                    if options:
                        found[f"{info.name}.{label}"] = options
    return dict(sorted(found.items()))


def test_defaults_of_functions_stay():
    now = signatures()
    before = json.loads(SIGNATURES.read_text())
    changed = {
        name: {o: (v, now[name].get(o)) for o, v in options.items() if now[name].get(o) != v}
        for name, options in before.items()
        if name in now
    }
    assert {name: options for name, options in changed.items() if options} == {}
    assert len(before.keys() & now.keys()) > 0.9 * len(before)


if __name__ == "__main__":
    SIGNATURES.write_text(json.dumps(signatures(), indent=1) + "\n")
    TABLE.write_text(
        json.dumps({name: defaults(cls) for name, cls in classes().items()}, indent=1) + "\n"
    )
    sys.exit(0)

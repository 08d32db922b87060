"""Defaults are promises: a recipe that leaves an option out trains the same way in the next
version.

``golden/defaults.json`` holds them. A new option may be missing there;
``python -m tests.test_defaults`` writes all down anew.
"""

import importlib
import inspect
import json
import sys
from pathlib import Path

import pytest

from semisupcon import augmentations, public
from semisupcon.augmentations.transform import Transform
from semisupcon.data.datamodule import AudioDataModule
from semisupcon.probing.methods.settings import FineTuning, Settings, Training
from semisupcon.probing.studies.run import Studies
from semisupcon.training.callbacks import DrawMatrices, EndWell
from semisupcon.training.keeping import KeepCheckpoints
from semisupcon.training.objective import Objective

TABLE = Path(__file__).parent / "golden" / "defaults.json"
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


if __name__ == "__main__":
    TABLE.write_text(
        json.dumps({name: defaults(cls) for name, cls in classes().items()}, indent=1) + "\n"
    )
    sys.exit(0)

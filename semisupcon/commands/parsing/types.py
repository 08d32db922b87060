"""Option types with special parsing on the command line and in YAML."""

from enum import Enum
from functools import reduce
from operator import or_
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Union, cast, get_args, get_origin

import yaml
from jsonargparse import ArgumentParser
from jsonargparse.typing import register_type

from semisupcon.augmentations.chains import AugmentationList
from semisupcon.configuration import read_value
from semisupcon.written import Text

if TYPE_CHECKING:
    from jsonargparse._typehints import ActionTypeHint


def read_augmentations(given: Any) -> AugmentationList:
    """Parse a list of augmentations from YAML or text; a single entry becomes a list of one."""
    value = read_value(given) if isinstance(given, str) else given
    return AugmentationList(value if isinstance(value, list | tuple) else [value])


def register_types() -> None:
    """Pass entries of ``aug_list`` to `build_chain` unchanged; else the parser would instantiate
    class paths first.

    Names that YAML would read as numbers or booleans stay text.
    """
    yaml.SafeDumper.add_representer(
        Text,
        lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="'"),
    )
    register_type(
        Text,
        serializer=Text,
        deserializer=Text,
        type_check=lambda value, _: isinstance(value, Text),
        fail_already_registered=False,
    )
    register_type(
        AugmentationList,
        serializer=list,
        deserializer=read_augmentations,
        type_check=lambda value, _: isinstance(value, AugmentationList),
        fail_already_registered=False,
    )
    # For enum defaults, as in Lightning's Timer.
    yaml.SafeDumper.add_multi_representer(
        Enum, lambda dumper, member: dumper.represent_data(member.value)
    )


def numbers_as_written(parser: ArgumentParser) -> None:
    """Distinguish 1 from 1.0 in options that take a count or a share, such as
    ``trainer.limit_train_batches``.

    ``typing`` caches unions, so Union[int, float] may become Union[float, int]. The parser takes
    the first type that fits, and would turn 1 batch into 100 %.
    """
    for action in parser._actions:
        hint = getattr(action, "_typehint", None)  # set in `ActionTypeHint` only
        if get_origin(hint) in (Union, UnionType) and {int, float} <= set(get_args(hint)):
            first = [int, float]
            rest = [kind for kind in get_args(hint) if kind not in (*first, NoneType)]
            nothing = [None] if NoneType in get_args(hint) else []
            cast("ActionTypeHint", action)._typehint = reduce(or_, [*first, *rest, *nothing])


register_types()

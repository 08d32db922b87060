"""Types of options that need their own parsing on the command line and in YAML."""

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
    """Parse the value of ``aug_list``: a list of augmentations, or its YAML text.

    A single augmentation becomes a list of one.
    """
    value = read_value(given) if isinstance(given, str) else given
    return AugmentationList(value if isinstance(value, list | tuple) else [value])


def register_types() -> None:
    """Register the types `AugmentationList` and `Text` with jsonargparse.

    `AugmentationList` keeps the entries of ``aug_list`` unchanged for `build_chain`; otherwise
    jsonargparse would instantiate entries with a class path. `Text` keeps names that YAML would
    read as numbers or booleans.
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
    # Lightning's Timer has an enum as a default, which YAML could not write otherwise.
    yaml.SafeDumper.add_multi_representer(
        Enum, lambda dumper, member: dumper.represent_data(member.value)
    )


def numbers_as_written(parser: ArgumentParser) -> None:
    """Make options that take an int (count) or a float (share) distinguish 1 from 1.0.

    An example is ``trainer.limit_train_batches``: 1 means one batch, 1.0 all batches. The parser
    takes the first type of a Union that fits. ``typing`` caches unions, so Union[int, float] may be
    Union[float, int] at run time. Therefore int is moved to the front.
    """
    for action in parser._actions:
        hint = getattr(action, "_typehint", None)  # an attribute of `ActionTypeHint` only
        if get_origin(hint) in (Union, UnionType) and {int, float} <= set(get_args(hint)):
            first = [int, float]
            rest = [kind for kind in get_args(hint) if kind not in (*first, NoneType)]
            nothing = [None] if NoneType in get_args(hint) else []
            cast("ActionTypeHint", action)._typehint = reduce(or_, [*first, *rest, *nothing])


register_types()

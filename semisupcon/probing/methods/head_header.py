"""Check the header of a saved head, which is an untrusted file, before its values are used."""

from typing import Any

from semisupcon.kinds import AGGREGATIONS, KINDS
from semisupcon.probing.methods.calibrating import HIGHEST, LOWEST, Calibration

WIDEST = 1 << 20  # maximum number of inputs, outputs and hidden units
TEXTS = ("task", "encoder", "representation")


def check_header(about: Any) -> None:
    """Check that `save_head` can have written a header.

    Raises:
        ValueError: for an invalid field. The message is the second half of a sentence.
        KeyError: for a missing field.
    """
    if (
        not isinstance(about, dict)
        or about["method"] not in ("linear", "mlp")
        or not isinstance(about["kind"], str)
        or about["kind"] not in KINDS
    ):
        raise ValueError("it does not name a known head")
    for name, least in (("in_dim", 1), ("out_dim", 1), ("hidden", 0)):
        if not _is_whole(about[name]) or not least <= about[name] <= WIDEST:
            raise ValueError(f"its {name} is {_told(about[name])}")
    classes = about.get("classes", [])
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise ValueError("its classes are not a list of names")
    if classes and (len(classes) != about["out_dim"] or len(set(classes)) < len(classes)):
        raise ValueError(
            f"it has {about['out_dim']} outputs and {len(set(classes))} different classes"
        )
    aggregation = about.get("aggregation", AGGREGATIONS[0])
    if aggregation not in AGGREGATIONS:
        raise ValueError(f"its aggregation is {_told(aggregation)}")
    if about["kind"] == "regression" and aggregation in ("probability", "vote"):
        raise ValueError(f"its aggregation is {aggregation}, which values do not have")
    for name in TEXTS:
        if name in about and not isinstance(about[name], str):
            raise ValueError(f"its {name} is {_told(about[name])}")
    _check_calibration(about)


def _check_calibration(about: dict[str, Any]) -> None:
    temperature, thresholds = about.get("temperature", 1.0), about.get("thresholds", [])
    if not _is_number(temperature) or not LOWEST <= temperature <= HIGHEST:
        raise ValueError(f"its temperature is {_told(temperature)}")
    if not isinstance(thresholds, list) or not all(
        _is_number(value) and 0 <= value <= 1 for value in thresholds
    ):
        raise ValueError("its thresholds are not a list of numbers from 0 to 1")
    if thresholds and (
        len(thresholds) != about["out_dim"] or about["kind"] not in ("binary", "multilabel")
    ):
        raise ValueError(
            f"it has {len(thresholds)} thresholds for {about['out_dim']} {about['kind']} outputs"
        )
    if about["kind"] == "regression" and temperature != 1:
        raise ValueError("it has a temperature, which values do not have")


def values_of(about: dict[str, Any]) -> int:
    """Return the number of values in the file of a head with this checked header.

    A file with another number of values is refused before the head is built.
    """
    inputs, outputs, hidden = about["in_dim"], about["out_dim"], about["hidden"]
    constants = 2 * inputs + 4 * outputs
    if about["method"] == "linear":
        return (inputs + 1) * outputs + constants
    return (inputs + 1) * hidden + (hidden + 1) * outputs + constants


def calibration_in(about: dict[str, Any]) -> Calibration | None:
    """Return the calibration in a checked header; None for a head without calibration."""
    if "temperature" not in about:
        return None
    return Calibration(float(about["temperature"]), tuple(map(float, about.get("thresholds", []))))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or _is_whole(value)


def _told(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]} ..."

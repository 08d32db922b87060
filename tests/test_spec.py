"""A module is written down as plain types, built again from them, and nothing outside the package
is imported on a file's word."""

import json
import sys

import pytest

from semisupcon.encoders import SampleCNN
from semisupcon.errors import CheckpointError
from semisupcon.spec import Recorded, build, spec_of


class Inner(Recorded):
    def __init__(self, width: int = 3):
        super().__init__()
        self.width = width


class Outer(Inner):
    def __init__(self, inner: Inner, names: tuple[str, ...] = ("a",), **more):
        super().__init__(width=inner.width + 1)
        self.inner, self.names, self.more = inner, names, more


def test_the_outermost_arguments_are_remembered_and_rebuilt():
    spec = spec_of(Outer(Inner(5), names=["x", "y"], extra={"k": 1.5}))
    assert json.loads(json.dumps(spec)) == spec
    again = build(spec, trust=[__name__.partition(".")[0], "tests"])
    assert (again.width, again.inner.width, again.names, again.more) == (
        6,
        5,
        ["x", "y"],
        {"extra": {"k": 1.5}},
    )


def test_an_encoder_comes_back_the_same_shape():
    again = build(spec_of(SampleCNN()))
    assert {k: v.shape for k, v in again.state_dict().items()} == {
        k: v.shape for k, v in SampleCNN().state_dict().items()
    }


@pytest.mark.parametrize(
    "path",
    [
        "os.system",
        "antigravity.Fly",
        "semisupconx.encoders.SampleCNN",
        7,
        "semisupcon.nowhere.Thing",
    ],
)
def test_a_stranger_s_class_is_refused_before_any_import(path):
    with pytest.raises(CheckpointError, match=r"is outside semisupcon|is not a public class"):
        build({"class_path": path, "init_args": {"command": "echo"}})
    assert "antigravity" not in sys.modules


def test_a_function_of_the_package_is_no_module_either():
    with pytest.raises(CheckpointError, match="is not a public class"):
        build(
            {
                "class_path": "semisupcon.checkpoints.save_atomically",
                "init_args": {"content": 1, "path": "x"},
            }
        )


def test_wrong_arguments_are_told_in_a_sentence():
    with pytest.raises(CheckpointError, match="cannot be built"):
        build(
            {
                "class_path": "semisupcon.encoders.samplecnn.SampleCNN",
                "init_args": {"no_such_argument": 1},
            }
        )


def test_what_is_not_plain_cannot_be_written_down():
    with pytest.raises(TypeError, match="cannot be converted"):
        spec_of(Outer(Inner(), names=object()))

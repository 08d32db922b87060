"""Target matrices against the published numbers and against their definitions, pair by pair."""

import math

import numpy as np
import pytest
import torch

from semisupcon.batch import DataFacts
from semisupcon.errors import CheckpointError, ConfigError
from semisupcon.losses.pairs import common_labels, same_labels, shared_labels
from semisupcon.spec import build, spec_of
from semisupcon.targets import (
    ClassSimilarity,
    Dice,
    Kernel,
    SameClip,
    SameLabels,
    SharedLabels,
    Similarity,
)

NAN = float("nan")
# Five tracks of the fact sheet; the last is unlabelled.
LABELS = torch.tensor([[1, 1, 0, 0], [1, 0, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1], [NAN] * 4])
CLIPS = torch.tensor([11, 12, 13, 14, 15])


def square(target, labels=LABELS, clips=None):
    clips = torch.arange(len(labels)) if clips is None else clips
    return target(labels, clips, labels, clips)


def overlap(a, b):
    common = sum(x == 1 and y == 1 for x, y in zip(a, b, strict=True))
    return 2 * common / max(sum(x == 1 for x in a) + sum(y == 1 for y in b), 1)


EXPECTED = {
    1: ["11100", "11100", "11100", "00010", "00000"],
    2: ["10100", "01100", "11100", "00000", "00000"],
    3: ["00000", "00000", "00100", "00000", "00000"],
}


@pytest.mark.parametrize("threshold", EXPECTED)
def test_shared_labels_of_the_fact_sheet(threshold):
    expected = torch.tensor([[float(x) for x in row] for row in EXPECTED[threshold]])
    assert torch.equal(square(SharedLabels(threshold)), expected)


def test_dice_of_the_fact_sheet():
    expected = torch.zeros(5, 5)
    expected[:3, :3] = torch.tensor([[1, 0.5, 0.8], [0.5, 1, 0.8], [0.8, 0.8, 1]])
    expected[3, 3] = 1
    torch.testing.assert_close(square(Dice()), expected)


def test_dice_is_the_overlap_of_sets():
    labels = (torch.rand(12, 6, generator=torch.Generator().manual_seed(0)) < 0.4).float()
    expected = torch.tensor([[overlap(a, b) for b in labels.tolist()] for a in labels.tolist()])
    torch.testing.assert_close(square(Dice(), labels), expected)


def test_a_clip_is_near_itself_even_when_unlabelled():
    assert torch.equal(
        square(SameClip(), LABELS, torch.tensor([1, 1, 2, 3, 3])),
        torch.block_diag(torch.ones(2, 2), torch.ones(1, 1), torch.ones(2, 2)),
    )


def test_a_binary_column_is_symmetric_by_same_labels_and_one_sided_by_shared_ones():
    labels = torch.tensor([[1.0], [0.0], [0.0], [NAN]])
    assert torch.equal(
        square(SameLabels(), labels),
        torch.tensor([[1.0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]),
    )
    assert torch.equal(square(SharedLabels(), labels), torch.diag(torch.tensor([1.0, 0, 0, 0])))


def test_same_labels_of_one_hot_rows_is_the_same_class():
    classes = torch.tensor([0, 2, 2, 1])
    assert torch.equal(
        square(SameLabels(), torch.eye(3)[classes]), (classes[:, None] == classes).float()
    )


def facts(values, kind="regression", classes=2):
    return DataFacts(
        classes=tuple("abcdef"[:classes]), kind=kind, train_targets=np.asarray(values, np.float32)
    )


VALUES = [[0.0, 100.0], [1.0, 300.0], [4.0, 200.0], [2.0, 500.0]]


@pytest.mark.parametrize("bandwidth", [None, 0.7])
def test_kernel_is_a_gaussian_of_standardised_distances(bandwidth):
    target = Kernel(bandwidth)
    target.prepare(facts(VALUES))
    z = (np.array(VALUES) - np.mean(VALUES, 0)) / np.std(VALUES, 0)
    distance = np.linalg.norm(z[:, None] - z, axis=-1)
    # torch's median of an even number is the lower one.
    width = bandwidth or sorted(distance[np.triu_indices(4, 1)])[2]
    got = square(target, torch.tensor([*VALUES, [NAN, NAN], [0.0, NAN]]))
    np.testing.assert_allclose(got[:4, :4], np.exp(-(distance**2) / (2 * width**2)), rtol=1e-5)
    assert not got[4:].any()
    assert not got[:, 4:].any()


def test_kernel_remembers_its_scale():
    target = Kernel()
    target.prepare(facts(VALUES))
    before = square(target, torch.tensor(VALUES))
    again = build(spec_of(target))
    again.prepare(facts(np.zeros((0, 2))))
    again.load_state_dict(target.state_dict())
    assert torch.equal(square(again, torch.tensor(VALUES)), before)


@pytest.mark.parametrize("target", [SharedLabels(), Dice()])
def test_labels_are_not_compared_as_values(target):
    with pytest.raises(ConfigError, match=r"use semisupcon\.targets\.Kernel"):
        target.prepare(facts(VALUES))


def test_values_are_not_compared_as_labels():
    with pytest.raises(ConfigError, match="the labels are multiclass"):
        Kernel().prepare(facts(np.eye(2), kind="multiclass"))


def test_class_similarity_is_a_mean_over_pairs_of_labels():
    matrix = [[1, 0.5, 0], [0.5, 1, 0.25], [0, 0.25, 1]]
    target = ClassSimilarity(matrix)
    target.prepare(facts(np.eye(3), kind="multilabel", classes=3))
    labels = torch.tensor([[1.0, 0, 0], [0, 1, 1], [0, 0, 0], [NAN] * 3])
    got = square(target, labels)
    torch.testing.assert_close(got[0, :2], torch.tensor([1.0, 0.25]))
    torch.testing.assert_close(got[1, 1].item(), (1 + 0.25 + 0.25 + 1) / 4)
    assert not got[2:].any()
    with pytest.raises(ConfigError, match="is for 3 classes, the data has 2"):
        target.prepare(facts(np.eye(2), kind="multiclass"))
    with pytest.raises(ConfigError, match="square"):
        ClassSimilarity([[1, 2]])


def close_pitches(rows, columns):
    return 1 / (1 + (rows - columns.T).abs())


def test_a_function_of_the_user():
    target = Similarity(f"{__name__}.close_pitches")
    got = square(target, torch.tensor([[60.0], [61.0], [NAN]]))
    assert torch.equal(got, torch.tensor([[1, 0.5, 0], [0.5, 1, 0], [0, 0, 0]]))
    with pytest.raises(ConfigError, match="cannot be imported"):
        Similarity("nowhere.at_all").prepare(facts(VALUES))


def test_a_file_cannot_name_a_function_to_call():
    spec = spec_of(Similarity("os.removedirs"))
    with pytest.raises(CheckpointError, match="is outside semisupcon"):
        build(spec)
    assert (
        build(spec_of(Similarity(f"{__name__}.close_pitches")), trust=[__name__]).path
        == f"{__name__}.close_pitches"
    )


@pytest.mark.parametrize("target", [SameClip(), SharedLabels(2), Dice(), SameLabels()])
def test_tiles_are_parts_of_the_whole(target):
    labels = (torch.rand(9, 5, generator=torch.Generator().manual_seed(3)) < 0.5).float()
    labels[4] = NAN
    clips = torch.arange(9) // 2
    whole = square(target, labels, clips)
    assert torch.equal(
        torch.cat([target(labels[r], clips[r], labels, clips) for r in torch.arange(9).split(4)]),
        whole,
    )
    assert torch.equal(whole, whole.T)
    assert whole.min() >= 0
    assert whole.max() <= 1


def test_no_classes_mean_no_supervised_positives():
    for target in (SharedLabels(), Dice(), SameLabels()):
        assert not square(target, torch.zeros(3, 0)).any()


def test_refuses_what_would_make_everything_near():
    with pytest.raises(ConfigError, match="at least 1"):
        SharedLabels(0)
    with pytest.raises(ConfigError, match="positive"):
        Kernel(-math.pi)


def test_a_similarity_of_classes_may_be_named_by_its_function():
    facts = DataFacts(classes=("C major", "G major", "Gb major"), kind="multiclass")
    target = ClassSimilarity("semisupcon.datasets.keys.key_similarity")
    target.prepare(facts)
    labels, clips = torch.eye(3), torch.arange(3)
    near = target(labels, clips, labels, clips)
    assert near.diagonal().tolist() == [1, 1, 1]
    assert near[0, 1] > near[0, 2]
    again = build(spec_of(target))
    again.prepare(facts)
    assert torch.equal(again(labels, clips, labels, clips), near)
    with pytest.raises(CheckpointError, match="is outside"):
        build(
            {
                "class_path": "semisupcon.targets.ClassSimilarity",
                "init_args": {"matrix": "os.system"},
            }
        )


@pytest.mark.parametrize("share", [0.001, 0.3])
@pytest.mark.parametrize("same", [True, False])
def test_thousands_of_labels(share, same):
    """Few of many labels are compared by sparse matrices; the counts are those of the products."""
    generator = torch.Generator().manual_seed(3)
    labels = (torch.rand(40, 3000, generator=generator) < share).float()
    labels[3], labels[4, 5], labels[:, 7] = torch.nan, 0.5, 1
    rows = labels if same else labels[5:20] * torch.ones(15, 1)
    common, absent = (both_have(rows, labels, value) for value in (1, 0))
    assert torch.equal(common_labels(rows, labels), common)
    assert torch.equal(same_labels(rows, labels), (common + absent == 3000).float())
    assert torch.equal(shared_labels(rows, labels, 2), (common >= 2).float())


def both_have(rows, columns, value):
    return ((rows == value)[:, None] & (columns == value)).sum(dim=2).float()


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_kernel_does_not_depend_on_the_unit_of_the_values(scale):
    one, other = Kernel(), Kernel()
    one.prepare(facts(VALUES))
    other.prepare(facts(np.array(VALUES) * scale))
    values = torch.tensor(VALUES)
    torch.testing.assert_close(square(other, values * scale), square(one, values))

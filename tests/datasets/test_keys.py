"""Keys, pitches and their distances."""

import numpy as np
import pytest

from semisupcon.datasets.keys import (
    KEYS,
    canonical_key,
    key_similarity,
    midi_name,
    parse_key,
    pitch_class,
    pitch_class_similarity,
)


def near(one, other, matrix, classes=KEYS):
    return matrix[classes.index(one), classes.index(other)]


def test_keys_are_named_with_flats_whatever_the_source():
    assert canonical_key("A# major") == canonical_key("bb  Major") == "Bb major"
    assert canonical_key("F♯ minor") == "Gb minor"
    assert parse_key("E# major") == (5, "major")
    assert parse_key("Cb minor") == (11, "minor")
    for text in ("-", "H major", "C", "C dur", "C major / A minor", ""):
        with pytest.raises(ValueError, match="is no"):
            parse_key(text)


def test_pitches_count_from_middle_c():
    assert [midi_name(m) for m in (0, 9, 60, 61, 127)] == ["C-1", "A-1", "C4", "Db4", "G9"]
    assert [pitch_class(n) for n in ("C4", "A-1", "Db4", "c#", "60", "127")] == [0, 9, 1, 1, 0, 7]


@pytest.mark.parametrize(
    ("other", "distance"),
    [
        ("C major", 0),
        ("A minor", 0.5),
        ("G major", 1),
        ("F major", 1),
        ("E minor", 1.5),
        ("C minor", 3.5),
        ("Gb major", 6),
        ("Eb minor", 6.5),
    ],
)
def test_distance_on_the_circle_of_fifths_by_hand(other, distance):
    assert near("C major", other, key_similarity()) == pytest.approx(1 - distance / 6.5)
    assert near("C major", other, key_similarity(reach=2)) == pytest.approx(
        max(0, 1 - distance / 2)
    )


def test_similarities_are_proper_and_know_no_favourite_key():
    for matrix in (key_similarity(), pitch_class_similarity()):
        assert matrix.min() >= 0
        assert np.array_equal(np.diag(matrix), np.ones(len(matrix)))
        assert np.array_equal(matrix, matrix.T)
    keys = key_similarity()
    for mode in (slice(0, 12), slice(12, 24)):  # transposing both keys changes nothing
        assert np.allclose(keys[mode, mode], np.roll(keys[mode, mode], (1, 1), (0, 1)))
    order = [3, 20, 7]
    assert np.array_equal(key_similarity([KEYS[i] for i in order]), keys[np.ix_(order, order)])


def test_pitch_classes_forget_octaves():
    matrix = pitch_class_similarity(["C4", "C5", "B3", "F#2", "62"])
    assert np.allclose(matrix[0], [1, 1, 1 - 1 / 6, 0, 1 - 2 / 6])


def test_the_matrix_fits_the_target_that_takes_it():
    torch = pytest.importorskip("torch")
    from semisupcon.targets import ClassSimilarity

    target = ClassSimilarity(key_similarity().tolist())
    labels = torch.eye(24)
    clips = torch.arange(24)
    assert torch.allclose(
        target(labels, clips, labels, clips),
        torch.tensor(key_similarity(), dtype=torch.float32),
        atol=1e-6,
    )

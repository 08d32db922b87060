"""Weights of pairs of items as positives, from two blocks of labels and clip ids (Guinot et al.
2024, section 3).

The functions take rows and columns separately, so that a loss can build the matrix tile by tile.
Labels are ``[M, C]`` and ``[N, C]``; a row with NaN is unlabelled, and positive only with its own
clip. All functions return ``[M, N]`` float32 in [0, 1].
"""

import torch
from torch import Tensor


def same_clip(clips_rows: Tensor, clips_columns: Tensor) -> Tensor:
    """1 if two items are from the same clip; ``clips_*`` are ``[M]`` and ``[N]`` int64."""
    return (clips_rows[:, None] == clips_columns).float()


def common_labels(labels_rows: Tensor, labels_columns: Tensor) -> Tensor:
    """Number of labels that two items share. Only an exact 1 counts; zeros and NaN do not."""
    return (labels_rows == 1).float() @ (labels_columns == 1).float().T


def shared_labels(labels_rows: Tensor, labels_columns: Tensor, threshold: int = 1) -> Tensor:
    """1 if two items share ``threshold`` labels or more; binary, multiclass, multilabel targets."""
    return common_labels(labels_rows, labels_columns).ge_(threshold)


def dice(labels_rows: Tensor, labels_columns: Tensor) -> Tensor:
    """Overlap of two label sets, 2 |A and B| / (|A| + |B|) (Dice 1945); 0 for disjoint sets."""
    sizes_rows, sizes_columns = (
        (labels == 1).float().sum(dim=1) for labels in (labels_rows, labels_columns)
    )
    return (
        2
        * common_labels(labels_rows, labels_columns)
        / (sizes_rows[:, None] + sizes_columns).clamp(min=1)
    )


def same_labels(labels_rows: Tensor, labels_columns: Tensor) -> Tensor:
    """1 if two labelled items are equal in every column.

    For one-hot rows: the same class. For a single binary column: both zero or both one.
    """
    absent = (labels_rows == 0).float() @ (labels_columns == 0).float().T
    return (common_labels(labels_rows, labels_columns) + absent == labels_rows.shape[1]).float() * (
        labels_rows.shape[1] > 0
    )


def gaussian_kernel(
    values_rows: Tensor, values_columns: Tensor, bandwidth: float | Tensor
) -> Tensor:
    """exp(-d^2 / (2 bandwidth^2)), d the Euclidean distance (Rosenblatt 1956); 0 if one is NaN."""
    known = (~values_rows.isnan().any(dim=1))[:, None] & ~values_columns.isnan().any(dim=1)
    # The matrix product would lose precision for small distances.
    distance = torch.cdist(
        values_rows.nan_to_num(),
        values_columns.nan_to_num(),
        compute_mode="donot_use_mm_for_euclid_dist",
    )
    return torch.exp(-0.5 * (distance / bandwidth) ** 2).float() * known

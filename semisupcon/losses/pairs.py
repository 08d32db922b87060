"""Functions that compute how much a pair of items is a positive, from labels and clip ids.

The definitions follow Guinot et al. 2024, section 3. The functions take rows and columns
separately, so that a loss can build the matrix tile by tile. Labels are ``[M, C]`` and ``[N, C]``.
A row with NaN is unlabelled; its only positives are items of the same clip. All functions return
``[M, N]`` float32, in [0, 1] except for the counts of `common_labels`.
"""

import numpy as np
import torch
from torch import Tensor

# A product of sparse matrices is faster for more columns than this, with a smaller share of ones.
_MANY, _SPARSE = 256, 0.01


def same_clip(clips_rows: Tensor, clips_columns: Tensor) -> Tensor:
    """Return 1 for pairs from the same clip, else 0; ``clips_*`` are ``[M]`` and ``[N]`` int64."""
    return (clips_rows[:, None] == clips_columns).float()


def common_labels(labels_rows: Tensor, labels_columns: Tensor) -> Tensor:
    """Count the labels that two items share. A label counts if its value is exactly 1."""
    return _both(labels_rows, labels_columns, 1)


def _both(labels_rows: Tensor, labels_columns: Tensor, value: float) -> Tensor:
    """Count the columns in which both items have a value."""
    rows = _where(labels_rows, value)
    same = (
        labels_rows.data_ptr() == labels_columns.data_ptr()
        and labels_rows.shape == labels_columns.shape
        and labels_rows.stride() == labels_columns.stride()
    )
    columns = rows if same else _where(labels_columns, value)
    # A GPU would have to wait for the density.
    if rows.device.type == "cpu" and rows.shape[1] > _MANY and rows.mean() < _SPARSE:
        return _sparse_product(rows, None if same else columns)
    return rows @ columns.T


def _sparse_product(rows: Tensor, columns: Tensor | None) -> Tensor:
    """Return ``rows @ columns.T`` of matrices with few ones; None for the same matrix."""
    from scipy.sparse import csr_array

    def sparse(ones: Tensor) -> csr_array:
        row, column = (index.numpy() for index in ones.nonzero(as_tuple=True))
        begins = np.searchsorted(row, np.arange(len(ones) + 1))
        return csr_array(
            (np.ones(len(row), np.float32), column, begins), shape=(len(ones), ones.shape[1])
        )

    left = sparse(rows)
    right = left if columns is None else sparse(columns)
    return torch.from_numpy((left @ right.T).toarray())


def _where(labels: Tensor, value: float) -> Tensor:
    # Writing the comparison as float at once takes an eighth of the time of two steps.
    found = torch.empty(labels.shape, dtype=torch.float32, device=labels.device)
    return torch.eq(labels, value, out=found)


def shared_labels(labels_rows: Tensor, labels_columns: Tensor, threshold: int = 1) -> Tensor:
    """Return 1 for pairs that share at least ``threshold`` labels, else 0.

    For binary, multiclass and multilabel targets.
    """
    return common_labels(labels_rows, labels_columns).ge_(threshold)


def dice(labels_rows: Tensor, labels_columns: Tensor) -> Tensor:
    """Return the overlap of two label sets, 2 |A and B| / (|A| + |B|) (Dice 1945)."""
    sizes_rows, sizes_columns = (
        _where(labels, 1).sum(dim=1) for labels in (labels_rows, labels_columns)
    )
    common = common_labels(labels_rows, labels_columns)
    return 2 * common / (sizes_rows[:, None] + sizes_columns).clamp(min=1)


def same_labels(labels_rows: Tensor, labels_columns: Tensor) -> Tensor:
    """Return 1 for pairs of labelled items that are equal in every column, else 0.

    For one-hot rows this means the same class. For a single binary column, both are zero or both
    are one.
    """
    both = common_labels(labels_rows, labels_columns) + _both(labels_rows, labels_columns, 0)
    return (both == labels_rows.shape[1]).float() * (labels_rows.shape[1] > 0)


def gaussian_kernel(
    values_rows: Tensor, values_columns: Tensor, bandwidth: float | Tensor
) -> Tensor:
    """Return exp(-d^2 / (2 bandwidth^2)) for the Euclidean distance d (Rosenblatt 1956).

    The result is 0 for pairs with NaN.
    """
    known = (~values_rows.isnan().any(dim=1))[:, None] & ~values_columns.isnan().any(dim=1)
    # Computing distances by a matrix product would lose precision for small distances.
    distance = torch.cdist(
        values_rows.nan_to_num(),
        values_columns.nan_to_num(),
        compute_mode="donot_use_mm_for_euclid_dist",
    )
    return torch.exp(-0.5 * (distance / bandwidth) ** 2).float() * known

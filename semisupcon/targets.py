"""Target matrices for contrastive learning, computed by functions of `semisupcon.losses.pairs`."""

import importlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pdist

from semisupcon.batch import DataFacts
from semisupcon.errors import ConfigError
from semisupcon.losses.pairs import dice, gaussian_kernel, same_clip, same_labels, shared_labels
from semisupcon.random import permutation
from semisupcon.spec import Recorded

MEDIAN_ROWS = 2048


class Target(Recorded):
    """Base class of target matrices. Subclasses define ``forward``, which computes one tile."""

    def prepare(self, facts: DataFacts) -> None:
        """Compute the constants of the target from the labelled training clips.

        This method is called before training. Repeated calls give the same result.

        Raises:
            ConfigError: if the target does not support the label kind.
        """

    def forward(
        self, labels_rows: Tensor, clips_rows: Tensor, labels_columns: Tensor, clips_columns: Tensor
    ) -> Tensor:
        """Return targets ``[M, N]`` from labels ``[M, C]``, ``[N, C]`` and clip ids ``[M]``,
        ``[N]``.
        """
        raise TypeError(
            f"{type(self).__name__} defines no forward(labels_rows, clips_rows, labels_columns, "
            "clips_columns)"
        )


class SameClip(Target):
    """Views of the same clip are positives: self-supervision."""

    def forward(
        self, labels_rows: Tensor, clips_rows: Tensor, labels_columns: Tensor, clips_columns: Tensor
    ) -> Tensor:
        return same_clip(clips_rows, clips_columns)


class SharedLabels(Target):
    """Items that share enough labels are positives (Guinot et al. 2024).

    Args:
        threshold: minimum number of shared labels, at least 1. With a threshold above 1, one-hot
            labels give no supervised positives.
    """

    def __init__(self, threshold: int = 1):
        super().__init__()
        if threshold < 1:
            raise ConfigError(
                f"threshold must be at least 1, got {threshold}: with 0, all pairs would be "
                "positives"
            )
        self.threshold = threshold

    def prepare(self, facts: DataFacts) -> None:
        _refuse_regression(self, facts)

    def forward(
        self, labels_rows: Tensor, clips_rows: Tensor, labels_columns: Tensor, clips_columns: Tensor
    ) -> Tensor:
        return shared_labels(labels_rows, labels_columns, self.threshold)


class Dice(Target):
    """The target is the Dice overlap of the label sets (``weighted`` in SemiSupCon)."""

    def prepare(self, facts: DataFacts) -> None:
        _refuse_regression(self, facts)

    def forward(
        self, labels_rows: Tensor, clips_rows: Tensor, labels_columns: Tensor, clips_columns: Tensor
    ) -> Tensor:
        return dice(labels_rows, labels_columns)


class SameLabels(Target):
    """Items with equal labels (the same class, or the same binary value) are positives."""

    def forward(
        self, labels_rows: Tensor, clips_rows: Tensor, labels_columns: Tensor, clips_columns: Tensor
    ) -> Tensor:
        return same_labels(labels_rows, labels_columns)


class Kernel(Target):
    """The target is a Gaussian kernel on z-scored regression values.

    Args:
        bandwidth: bandwidth in standard deviations of the labelled training clips; None for the
            median distance between at most 2,048 training clips (Gretton et al. 2012).
    """

    mean: Tensor | None
    scale: Tensor | None
    bandwidth: Tensor | None

    def __init__(self, bandwidth: float | None = None):
        super().__init__()
        if bandwidth is not None and bandwidth <= 0:
            raise ConfigError(f"bandwidth must be positive, got {bandwidth}")
        self.given = bandwidth
        # These are buffers so that checkpoints store them. Their shapes depend on the data.
        for name in ("mean", "scale", "bandwidth"):
            self.register_buffer(name, None)

    def prepare(self, facts: DataFacts) -> None:
        if facts.kind != "regression":
            raise ConfigError(
                f"the target Kernel compares regression values, but the labels are {facts.kind}."
            )
        values = facts.values
        # Without labels (supervised_data_p is 0, or a checkpoint is loaded without its data), use
        # placeholder values of the right shape.
        if len(values) < 2:
            values = torch.tensor([[-1.0], [1.0]]).expand(2, len(facts.classes))
        mean, scale = values.mean(dim=0), values.std(dim=0, correction=0).clamp(min=1e-12)
        some = (values[permutation(len(values), "kernel")[:MEDIAN_ROWS]] - mean) / scale
        bandwidth = torch.as_tensor(
            self.given or pdist(some).median().clamp(min=1e-12), dtype=torch.float32
        )
        device = None if self.mean is None else self.mean.device
        self.mean, self.scale, self.bandwidth = (x.to(device) for x in (mean, scale, bandwidth))

    def _standardised(self, values: Tensor) -> Tensor:
        assert self.mean is not None  # set by prepare()
        assert self.scale is not None
        return (values - self.mean) / self.scale

    def forward(
        self, labels_rows: Tensor, clips_rows: Tensor, labels_columns: Tensor, clips_columns: Tensor
    ) -> Tensor:
        assert self.bandwidth is not None
        rows, columns = self._standardised(labels_rows), self._standardised(labels_columns)
        return gaussian_kernel(rows, columns, self.bandwidth)


class ClassSimilarity(Target):
    """The target is a given similarity of classes, for example of musical keys or instrument
    families.

    Args:
        matrix: C rows of C numbers in [0, 1], in the order of the classes; or the import path of
            ``f(classes) -> [C, C]``, such as ``semisupcon.datasets.keys.key_similarity``. For items
            with several labels, the target is the mean over all pairs of labels. A checkpoint
            stores the numbers, not the path.
    """

    import_paths = ("matrix",)
    similarity: Tensor | None

    def __init__(self, matrix: Sequence[Sequence[float]] | str):
        super().__init__()
        self.matrix = matrix
        # The buffer is not persistent, because the spec stores the matrix.
        self.register_buffer(
            "similarity", None if isinstance(matrix, str) else _square(matrix), persistent=False
        )

    def prepare(self, facts: DataFacts) -> None:
        if isinstance(self.matrix, str):
            device = None if self.similarity is None else self.similarity.device
            self.similarity = _square(_import(self.matrix)(facts.classes)).to(device)
            self._init_args["matrix"] = self.similarity.tolist()
        assert self.similarity is not None
        if len(self.similarity) != len(facts.classes):
            raise ConfigError(
                f"the similarity matrix is for {len(self.similarity)} classes, the data has "
                f"{len(facts.classes)}."
            )

    def forward(
        self, labels_rows: Tensor, clips_rows: Tensor, labels_columns: Tensor, clips_columns: Tensor
    ) -> Tensor:
        assert self.similarity is not None  # set by prepare()
        rows, columns = ((labels == 1).float() for labels in (labels_rows, labels_columns))
        shares_rows, shares_columns = (
            x / x.sum(dim=1, keepdim=True).clamp(min=1) for x in (rows, columns)
        )
        return shares_rows @ self.similarity @ shares_columns.T


class Similarity(Target):
    """The target is computed by a function of the user.

    Args:
        function: import path of ``f(labels_rows [M, C], labels_columns [N, C]) -> [M, N]`` in [0,
            1]. The target of rows with NaN is 0. A checkpoint stores the import path, so loading
            its heads requires ``--trust`` for the module.
    """

    import_paths = ("function",)

    def __init__(self, function: str):
        super().__init__()
        self.path = function
        self._function: Callable[[Tensor, Tensor], Tensor] | None = None

    def prepare(self, facts: DataFacts) -> None:
        self._function = _import(self.path)

    def forward(
        self, labels_rows: Tensor, clips_rows: Tensor, labels_columns: Tensor, clips_columns: Tensor
    ) -> Tensor:
        self._function = self._function or _import(self.path)
        known = (~labels_rows.isnan().any(dim=1))[:, None] & ~labels_columns.isnan().any(dim=1)
        return torch.where(
            known, self._function(labels_rows.nan_to_num(), labels_columns.nan_to_num()), 0.0
        ).float()


def _refuse_regression(target: Target, facts: DataFacts) -> None:
    if facts.kind == "regression":
        raise ConfigError(
            f"the target {type(target).__name__} compares labels, but these are regression values; "
            "use semisupcon.targets.Kernel."
        )


def _square(matrix: Sequence[Sequence[float]]) -> Tensor:
    similarity = torch.as_tensor(matrix, dtype=torch.float32)
    if (
        similarity.ndim != 2
        or similarity.shape[0] != similarity.shape[1]
        or similarity.min() < 0
        or similarity.max() > 1
    ):
        raise ConfigError(
            "matrix must be square with numbers in [0, 1], one row and one column for each class"
        )
    return similarity


def _import(path: str) -> Callable:
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"the similarity function '{path}' cannot be imported: {error}"
        ) from error

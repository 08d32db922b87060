"""Train from a data set class of torch: a map-style ``Dataset`` or an ``IterableDataset``."""

import importlib
import logging
from functools import partial
from typing import Any, cast

import numpy as np
import pandas as pd
from torch.utils.data import IterableDataset

from semisupcon.augmentations.chains import build_chain
from semisupcon.batch import DataFacts
from semisupcon.data.clips import Clips
from semisupcon.data.loader import EndlessLoader
from semisupcon.data.outside.base import Items, OutsideDataModule
from semisupcon.data.outside.in_order import OrderedBatches, OrderedClips
from semisupcon.data.outside.items import Field, Form
from semisupcon.data.outside.labels import labels_of, no_labels
from semisupcon.data.outside.random_access import DatasetAudio, scan_dataset
from semisupcon.data.planned import planned
from semisupcon.data.sampler import MixedBatchSampler
from semisupcon.data.trainer_settings import batches_done, on_gpu, rank_of
from semisupcon.datasets.base import LabelledClips
from semisupcon.errors import ConfigError, first_line, import_failure

log = logging.getLogger(__name__)


class TorchDataModule(OutsideDataModule):
    """`AudioDataModule` that reads a data set of torch.

    A map-style data set (``__getitem__`` and ``__len__``) is read once at the start of a run, for
    lengths and labels. Then it is used like files: any item at any time.

    An ``IterableDataset`` has no random access. Its items are used in their order and without
    labels, there are no validation clips, and a resumed run begins at the first item again.

    Args:
        dataset: import path of the class, or of a function that returns a data set. It is imported
            and called.
        dataset_kwargs: arguments of the class or function.
        audio: key or position of the waveform in an item. None is the item itself, the first part
            of a tuple, or the key ``audio`` or ``waveform``.
        rate: key or position of the sample rate. None is the key ``sample_rate`` or
            ``sampling_rate``.
        item_rate: sample rate in Hz of items that have none.
        label: key or position of the label. None trains without labels.
        classes: class names. With them, an integer label is a position. None takes the labels that
            occur.
        epoch_items: number of items of an epoch, for an ``IterableDataset`` without a length.
        options: see `OutsideDataModule`.

    Raises:
        ConfigError: if the data set cannot be imported or built, or an option names another source.
    """

    def __init__(
        self,
        dataset: str,
        dataset_kwargs: dict[str, Any] | None = None,
        audio: Field | None = None,
        rate: Field | None = None,
        item_rate: int | None = None,
        label: Field | None = None,
        classes: list[str] | None = None,
        epoch_items: int | None = None,
        **options: Any,
    ):
        super().__init__(**options)
        self.path, self.classes, self.epoch_items = dataset, classes, epoch_items
        self.form = Form(audio, rate, label, item_rate)
        self.dataset = built(dataset, dataset_kwargs or {})
        self.in_order = isinstance(self.dataset, IterableDataset)
        if self.in_order:
            self._check_in_order()
        elif len(self.dataset) == 0:
            raise ConfigError(f"data.dataset {dataset} has no items.")

    def _check_in_order(self) -> None:
        if self.form.label is not None or self.intrabatch_supervised_p == 1:
            raise ConfigError(
                f"{self.path} is an IterableDataset, whose items are used without labels; give a "
                "data set with __getitem__ and __len__ for labels, or leave out data.label and the "
                "options that need labels."
            )
        if self.epoch_items is None and hasattr(type(self.dataset), "__len__"):
            self.epoch_items = len(self.dataset)
        if self.epoch_items is None or self.epoch_items < 1:
            raise ConfigError(
                f"{self.path} is an IterableDataset without a length; give the number of items "
                "of an epoch as data.epoch_items, at least 1."
            )

    def list_items(self) -> Items:
        """Read all items of a map-style data set once.

        Raises the errors of `scan_dataset` and `labels_of`.
        """
        facts, values = scan_dataset(self.dataset, self.form)
        names = [f"{number:08d}" for number in range(len(facts))]
        label = "" if self.form.label is None else str(self.form.label)
        labels = no_labels(len(facts))
        if label:
            labels = labels_of(values, names, label, self.path, self.classes)
        return Items(names, ["train"] * len(names), facts, labels, self.path, label)

    def samples_of(self, table: pd.DataFrame) -> DatasetAudio:
        """Return the object that reads the samples of the clips in a table."""
        return DatasetAudio(self.dataset, self.form, table)

    def prepare_data(self) -> None:
        """Do nothing, because the items of a data set are not cached."""

    def setup(self, stage: str | None = None) -> None:
        """Draw the clips of the run, or prepare to read them in order.

        Raises the errors of `AudioDataModule.setup` and `Clips`.
        """
        if not self.in_order:
            super().setup(stage)
            return
        if self.sample_rate is None:
            raise ConfigError("data.target_sample_rate is not given, and no encoder sets it.")
        if self.target_length is not None:
            self.samples = round(self.target_length * self.sample_rate)
        if self.chain is None:
            self.chain = build_chain(self.aug_list or [], self.severity_modifier, self.sample_rate)
        self.ordered = OrderedClips(
            self.dataset,
            self.form,
            partial(_clips, self),
            self.batch_size,
            self.seed,
            rank_of(self.trainer),
            self.max_bad,
        )
        self.clips = self.validation_clips = self.ordered  # type: ignore[assignment]
        log.info(
            "data: the items of %s are used as they arrive, %d per epoch, without validation.",
            self.path,
            self.epoch_items,
        )

    @property
    def facts(self) -> DataFacts:
        """Properties of the data for the criterion, available after `setup`."""
        if not self.in_order:
            return super().facts
        return DataFacts(
            operators=self.chain.operators if self.chain else (),
            parameter_names=self.chain.parameter_names if self.chain else (),
            train_targets=np.zeros((0, 0), np.float32),
            padding=self.ordered.leaves_padding,
        )

    def train_dataloader(self) -> EndlessLoader:
        """Return the loader of training batches; it continues at the trainer's count of batches."""
        if not self.in_order:
            return super().train_dataloader()
        done, ranks, gpu = (
            batches_done(self.trainer),
            rank_of(self.trainer)[1],
            on_gpu(self.trainer),
        )
        if done:
            log.warning(
                "data: %s is an IterableDataset, without random access. The resumed run begins at "
                "its first item again, so it differs from a run without the interruption.",
                self.path,
            )
        if self.num_workers:
            log.info("data: the items of %s are read by a thread, not by workers.", self.path)
        assert self.epoch_items is not None  # set by _check_in_order
        return EndlessLoader(
            planned(cast("Clips", self.ordered), self.chain, gpu, self.augment_in),
            cast(
                "MixedBatchSampler",
                OrderedBatches(-(-self.epoch_items // (self.batch_size * ranks))),
            ),
            lambda: batches_done(self.trainer),
            f"{self.path} {self.batch_size} {ranks} {self.seed}",
            0,
            gpu,
        )

    def val_dataloader(self) -> Any:
        """Return the loader of validation clips; an empty list for an ``IterableDataset``."""
        return [] if self.in_order else super().val_dataloader()


def _clips(data: TorchDataModule, clips: LabelledClips, audio: Any) -> Clips:
    assert data.sample_rate is not None  # checked by setup
    return Clips(
        clips,
        data.sample_rate,
        data.samples,
        views=data.views or 2,
        min_samples=data.min_samples,
        audio=audio,
        **data.view_options,
    )


def built(path: str, arguments: dict[str, Any]) -> Any:
    """Import a class or function and return the data set that it builds.

    Raises:
        ConfigError: if it cannot be imported, if building fails, or if the result is not a data
            set.
    """
    module, _, name = path.rpartition(".")
    try:
        make = getattr(importlib.import_module(module), name) if module else None
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"data.dataset '{path}' cannot be imported: {import_failure(error)}"
        ) from error
    if not callable(make):
        raise ConfigError(
            f"data.dataset is the import path of a class or function, such as my_module.MyClips; "
            f"got '{path}'."
        )
    try:
        dataset = make(**arguments)
    except Exception as error:  # The class is the user's.
        raise ConfigError(
            f"data.dataset {path} cannot be built with data.dataset_kwargs {arguments}: "
            f"{type(error).__name__}: {first_line(error, 200)}"
        ) from error
    listed = hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")
    if not (isinstance(dataset, IterableDataset) or listed):
        raise ConfigError(
            f"data.dataset {path} gives {type(dataset).__name__}, which is neither an "
            "IterableDataset nor a data set with __getitem__ and __len__."
        )
    return dataset


__all__ = ["TorchDataModule"]

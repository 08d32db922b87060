"""The LightningDataModule, which loads data sets as augmented batches on the device."""

from collections.abc import Callable
from functools import partial
from typing import Any, cast
from weakref import WeakSet

import numpy as np
import pandas as pd
import pytorch_lightning as L
from pytorch_lightning.utilities.types import EVAL_DATALOADERS

from semisupcon.augmentations.base import Chain
from semisupcon.augmentations.chains import AugmentationList, build_chain
from semisupcon.batch import Batch, DataFacts
from semisupcon.data.clips import Clips, FileAudio, Samples, ShortClips, ViewOptions
from semisupcon.data.crops import Policy
from semisupcon.data.draws import Draws, check_shares, divide, hide_labels
from semisupcon.data.fitting import check_length, check_loading, rate_for, views_for
from semisupcon.data.loader import EndlessLoader, batches, fingerprint_of, older_fingerprint_of
from semisupcon.data.packed.on_device import PlacedBatch, Places, Resident, fits, waveforms
from semisupcon.data.packed.reading import Packed, PackedAudio
from semisupcon.data.planned import AugmentIn, augmented, planned
from semisupcon.data.sampler import MixedBatchSampler, share_out, validation_batches
from semisupcon.data.sources import gather
from semisupcon.data.trainer_settings import batches_done, on_gpu, rank_of
from semisupcon.datasets.base import LabelledClips
from semisupcon.errors import ConfigError


class AudioDataModule(L.LightningDataModule):
    """Load batches with augmented views of labelled and unlabelled clips.

    Args:
        sl_task: labelled data set, as a name (see ``semisupcon data list``) or an import path; null
            for none.
        ssl_task: data set of the unlabelled pool; null takes all audio under data_dir.
        data_dir: folder of the audio, and of the data sets unless their kwargs have root. Without
            data_dir and data sets, the embedded synthetic set is used.
        sl_kwargs: root and options of sl_task, for example its split.
        ssl_kwargs: root and options of ssl_task.
        batch_size: number of clips per batch and process.
        num_workers: number of processes that read audio; 0 reads in the training process.
        val_split: share of the training clips used for validation, for data sets without validation
            clips.
        supervised_data_p: share of the labelled training clips that keep their labels (p_s).
        intrabatch_supervised_p: share of labelled clips in a batch (b_s); 0 ignores all labels, 1
            uses only labelled clips.
        fully_supervised: train with all labelled clips and no unlabelled clip; both shares are 1.
        aug_list: names of augmentations, or class paths with arguments; null disables augmentation.
        severity_modifier: strength of augmentations given by name; 0 disables them, 2 is the
            published strength.
        target_length: length of a view in seconds; by default the segment length of the encoder.
        target_sample_rate: sample rate in Hz; by default that of the encoder. Another rate is an
            error.
        views: number of views per clip; by default the number that the objective needs.
        view_policy: adjacent, independent, gapped, parts or whole, see `semisupcon.data.crops`.
            With whole, validation uses parts, because two whole views would be equal.
        short_clips: treatment of clips shorter than a view: circular (repeat), zero (pad) or refuse
            (error).
        crop_fraction: length of a view as a share of the clip, for view_policy gapped.
        crop_overlap: whether views overlap, for view_policy gapped: false for a gap, true for an
            overlap, null for neither.
        max_bad: maximum share of unusable files, which are left out and logged.
        packed: folder written by ``semisupcon pack``, from which clips are read without decoding.
        device_resident: keep packed clips in device memory, if they fit, and cut views on the
            device.
        augment_in: where views are augmented: on the training device, or in the workers that read
            audio. Use workers for a small GPU and many CPU cores. Results are equal up to rounding.
        seed: seed of the validation split, label subset, order, crops and augmentations. None is
            123, or ``seed_everything`` in ``semisupcon pretrain``.
    """

    clips_type = Clips

    def __init__(
        self,
        sl_task: str | None = None,
        ssl_task: str | None = None,
        data_dir: str | None = None,
        sl_kwargs: dict[str, Any] | None = None,
        ssl_kwargs: dict[str, Any] | None = None,
        batch_size: int = 96,
        num_workers: int = 8,
        val_split: float = 0.1,
        supervised_data_p: float = 1.0,
        intrabatch_supervised_p: float = 0.5,
        fully_supervised: bool = False,
        aug_list: AugmentationList | None = None,
        severity_modifier: float = 2.0,
        target_length: float | None = None,
        target_sample_rate: int | None = None,
        views: int | None = None,
        view_policy: Policy = "adjacent",
        short_clips: ShortClips = "circular",
        crop_fraction: float = 0.45,
        crop_overlap: bool | None = False,
        max_bad: float = 0.01,
        packed: str | None = None,
        device_resident: bool = False,
        augment_in: AugmentIn = "device",
        seed: int | None = None,
    ):
        super().__init__()
        self.sources, self.max_bad = (sl_task, ssl_task, data_dir, sl_kwargs, ssl_kwargs), max_bad
        self.draws: Draws = {
            "val_split": val_split,
            "supervised_data_p": supervised_data_p,
            "fully_supervised": fully_supervised,
        }
        self.batch_size, self.num_workers = batch_size, num_workers
        self.seed = 123 if seed is None else seed
        self.intrabatch_supervised_p = 1.0 if fully_supervised else intrabatch_supervised_p
        self.aug_list, self.severity_modifier = aug_list, severity_modifier
        self.target_length, self.sample_rate, self.views = target_length, target_sample_rate, views
        self.samples: int | None = None
        self.min_samples = 1
        self.view_options: ViewOptions = {
            "policy": view_policy,
            "short_clips": short_clips,
            "crop_fraction": crop_fraction,
            "crop_overlap": crop_overlap,
        }
        self.packed, self.device_resident = packed, device_resident
        self.augment_in = augment_in
        check_loading(packed, device_resident, augment_in, num_workers)
        self.drawn: LabelledClips | None = None
        self.resident: Resident | None = None
        self.chain: Chain | None = None

    def bind(self, encoder: Any, views: int, most_views: int | None = None) -> None:
        """Set the options that depend on the encoder and the objective.

        Args:
            encoder: encoder that determines sample rate, shortest input and default length of a
                view.
            views: number of views that the objective needs; the option ``views`` may be larger.
            most_views: maximum number of views of the objective; None is any number.

        Raises:
            ConfigError: if the sample rate differs, views are too short, or the number of views is
                wrong.
        """
        self.sample_rate = rate_for(encoder, self.sample_rate)
        self.views = views_for(views, most_views, self.views)
        self.min_samples = encoder.min_samples
        # Build the chain here, so that mistakes in the options are reported before files are
        # scanned.
        self.chain = build_chain(self.aug_list or [], self.severity_modifier, self.sample_rate)
        if self.target_length is not None:
            check_length(encoder, self.target_length)
        elif self.view_options["policy"] in ("adjacent", "independent"):
            self.samples = encoder.segment_samples

    def prepare_data(self) -> None:
        """Fill the caches in one process: render synthetic audio, scan files, check packed sets."""
        if self.trainer is not None and self.trainer.world_size > 1:
            self._found()

    def _found(self) -> LabelledClips:
        if self.packed is not None:
            return Packed(self.packed).check_request(*self.sources[:2], self.sample_rate)
        return gather(*self.sources, max_bad=self.max_bad)

    def setup(self, stage: str | None = None) -> None:
        """Draw the clips of the run and build the augmentations.

        Raises the errors of `gather`, `divide` and `Clips`.
        """
        self._processes: WeakSet = WeakSet()  # worker processes of the run
        if self.drawn is not None:
            return
        if self.sample_rate is None:
            raise ConfigError("data.target_sample_rate is not given, and no encoder sets it.")
        if self.target_length is not None:
            self.samples = round(self.target_length * self.sample_rate)
        # Check these options before thousands of files are scanned.
        check_shares(self.draws["val_split"], self.draws["supervised_data_p"])
        share_out(self.batch_size, self.intrabatch_supervised_p, True, False)
        self.drawn = divide(self._found(), **self.draws, seed=self.seed)
        if self.intrabatch_supervised_p == 0:
            self.drawn = hide_labels(self.drawn)
        audio = self._audio()
        make = partial(
            self.clips_type,
            self.drawn,
            self.sample_rate,
            self.samples,
            min_samples=self.min_samples,
            audio=audio,
        )
        self.clips = make(views=self.views or 2, **self.view_options)
        # For every objective, validation measures retrieval between two views. They are not
        # augmented, so they must be different crops.
        apart: ViewOptions = {**self.view_options}
        if apart["policy"] == "whole":
            apart["policy"] = "parts"
        self.validation_clips = make(views=max(2, self.views or 2), **apart)
        if self.device_resident and self.trainer is not None and isinstance(audio, PackedAudio):
            device = self.trainer.strategy.root_device
            self.resident = Resident(audio, device) if fits(audio, device) else None
        if self.chain is None:
            self.chain = build_chain(self.aug_list or [], self.severity_modifier, self.sample_rate)

    def _drawn(self) -> LabelledClips:
        assert self.drawn is not None  # set by setup()
        return self.drawn

    @property
    def facts(self) -> DataFacts:
        """Properties of the data for the criterion, available after `setup`."""
        drawn = self._drawn()
        return DataFacts(
            classes=drawn.classes,
            kind=drawn.kind,
            operators=self.chain.operators if self.chain else (),
            parameter_names=self.chain.parameter_names if self.chain else (),
            train_targets=drawn.targets[drawn.rows("train", source="labelled")],
            padding=self.clips.leaves_padding,
        )

    def train_dataloader(self) -> EndlessLoader:
        """Return the loader of training batches; it continues at the trainer's count of batches."""
        drawn, gpu = self._drawn(), on_gpu(self.trainer)
        sampler = MixedBatchSampler(
            drawn.rows("train", source="labelled"),
            drawn.rows("train", source="unlabelled"),
            drawn.table["clip"].to_numpy(),
            self.batch_size,
            self.intrabatch_supervised_p,
            self.seed,
            *rank_of(self.trainer),
        )
        return EndlessLoader(
            planned(self._loaded(self.clips), self.chain, gpu, self.augment_in),
            sampler,
            lambda: batches_done(self.trainer),
            self._fingerprint(),
            self.num_workers,
            gpu,
            run=self._processes,
            older=lambda: self._fingerprint(older_fingerprint_of),
        )

    def val_dataloader(self) -> EVAL_DATALOADERS:
        """Return the loader of validation clips, with two or more different crops each.

        Views are not augmented. Without validation clips, the result is an empty list.
        """
        drawn = self._drawn()
        sources = (drawn.rows("val", source=of) for of in ("labelled", "unlabelled"))
        rows, numbers = np.concatenate(list(sources)), drawn.table["clip"].to_numpy()
        place = rank_of(self.trainer)
        sequence = validation_batches(rows, numbers, self.batch_size, self.seed, *place)
        if not sequence:
            return []
        clips, where = self._loaded(self.validation_clips), (self.num_workers, on_gpu(self.trainer))
        return batches(clips, sequence, *where, keep_workers=True, run=self._processes)

    def on_after_batch_transfer(self, batch: Batch | PlacedBatch, dataloader_idx: int) -> Batch:
        """Convert int16 audio to float32 in [-1, 1) and, in training, augment every view."""
        training = self.trainer is not None and self.trainer.training
        heard = waveforms(batch, self.clips if training else self.validation_clips, self.resident)
        return self.augmented(heard) if training else heard

    def augmented(self, batch: Batch) -> Batch:
        """Augment every view of a batch on its device, and add ``applied`` and ``parameters``."""
        if self.chain is None or "applied" in batch:
            return batch
        self.chain.to(batch["audio"].device)
        return cast(
            "Batch", augmented(cast("dict[str, Any]", batch), self.chain, self.clips.leaves_padding)
        )

    def _audio(self) -> Samples:
        table = self._drawn().table
        return PackedAudio(self.packed, table) if self.packed is not None else FileAudio(table)

    def _loaded(self, clips: Clips) -> Clips | Places:
        return Places(clips) if self.resident is not None else clips

    def _fingerprint(self, of: Callable[[Any, pd.DataFrame], str] = fingerprint_of) -> str:
        """Return a digest of all settings and clips that determine the batches and their crops."""
        settings = (
            *(self.batch_size, self.intrabatch_supervised_p, self.seed, self.sample_rate),
            *(self.samples, self.views, rank_of(self.trainer)[1]),
        )
        return of((settings, sorted(self.view_options.items())), self._drawn().table)


__all__ = ["AudioDataModule"]

"""Image networks of timm as encoders of spectrograms: EfficientNet-B0 and ConvNeXt.

COLA and its JAX port use these networks. Other timm models with a feature map also work.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from semisupcon.encoders.base import Encoder, agreed_rate, needs_spectrogram
from semisupcon.encoders.pooling import MaxPool, Pool
from semisupcon.encoders.timm_options import checked_options
from semisupcon.errors import ConfigError, nearest
from semisupcon.frontends import Frontend, LogMel, Normalization

MOST_FRAMES = 1024


class FeatureMap(nn.Module):
    """A timm model that returns its feature map ``[N, C, bands, frames]``.

    The modules after the feature map are not used; `never_called` finds them.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return cast("Callable[[Tensor], Tensor]", self.model.forward_features)(x)


class TimmEncoder(Encoder):
    """Any timm model with a two-dimensional feature map, pooled over bands and frames.

    The weights are initialised randomly.

    Args:
        model: name of the model in timm.
        drop_path: stochastic depth rate of the last block; the rate increases linearly from the
            first block. Use 0 for models without stochastic depth.
        options: further arguments of the model, such as ``act_layer: gelu_tanh``. The module
            `timm_options` lists the allowed ones.
        frontend: None is the log-mel spectrogram of COLA.
        segment_samples: segment length in samples; None is 1 s.
        normalize, pool: see `Encoder`.

    Raises:
        ConfigError: if timm does not have the model, if the model does not accept the input or
            outputs tokens instead of maps, or if an option is not allowed.
    """

    def __init__(
        self,
        model: str,
        drop_path: float = 0.0,
        options: Mapping[str, Any] | None = None,
        frontend: Frontend | None = None,
        segment_samples: int | None = None,
        normalize: Normalization | None = None,
        pool: Pool | None = None,
    ):
        frontend = LogMel() if frontend is None else frontend
        needs_spectrogram(type(self).__name__, frontend)
        model_name = model
        arguments = dict(checked_options(model, options), in_chans=frontend.channels, num_classes=0)
        if drop_path:
            arguments["drop_path_rate"] = drop_path
        with torch.device("meta"):
            sketch = create(model, arguments)
            frames, width = smallest_input(sketch, frontend)
            unused = never_called(sketch, frontend, frames)
        trunk = create(model, arguments)
        for name in unused:  # unused parameters break distributed training
            trunk.set_submodule(name, nn.Identity())
        rate = agreed_rate(type(self).__name__, None, frontend)
        super().__init__(
            trunk,
            width=width,
            dims=width,
            sample_rate=rate,
            segment_samples=segment_samples or rate,
            min_samples=frontend.samples_for(frames),
            frontend=frontend,
            normalize=normalize,
            pool=pool,
        )
        self.model_name = model_name


def create(name: str, arguments: Mapping[str, Any]) -> FeatureMap:
    """Build the timm model ``name`` with random weights."""
    import timm  # imported here, since other encoders do not need timm

    if not timm.is_model(name):
        raise ConfigError(f"timm has no model '{name}'.{nearest(name, timm.list_models())}")
    try:
        return FeatureMap(timm.create_model(name, pretrained=False, **arguments))
    except TypeError as error:
        raise ConfigError(
            f"timm's {name} cannot be made with {dict(arguments)}: {error}."
        ) from error


def map_shape(model: FeatureMap, frontend: Frontend, frames: int) -> tuple[int, ...] | None:
    """Return the output shape for an input of ``frames`` frames; None if the model rejects it.

    Raises:
        ConfigError: if the output is not a single tensor.
    """
    assert frontend.bands is not None  # `needs_spectrogram` has checked this
    try:
        maps = model(torch.empty(1, frontend.channels, frontend.bands, frames))
    except (RuntimeError, AssertionError):
        return None
    if not isinstance(maps, Tensor):
        raise ConfigError(
            f"{type(model.model).__name__} gives several feature maps instead of one; choose a "
            "convolutional model."
        )
    return tuple(maps.shape) if min(maps.shape) > 0 else None


def smallest_input(model: FeatureMap, frontend: Frontend) -> tuple[int, int]:
    """Return the minimum number of input frames of a model and its number of output channels.

    The model must be on the meta device.
    """
    name, info = type(model.model).__name__, getattr(model.model, "feature_info", None)
    model.eval()
    low, high, shape = 0, 1, map_shape(model, frontend, 1)
    if shape is None and info:
        # The minimum of nearly all models is one frame, or as many frames as their stride.
        low, high = 1, info[-1]["reduction"]
        low = high - 1 if map_shape(model, frontend, high - 1) is None else low
        shape = map_shape(model, frontend, high)
    while shape is None and high < MOST_FRAMES:
        low, high = high, 2 * high
        shape = map_shape(model, frontend, high)
    if shape is None:
        raise ConfigError(
            f"{name} takes no spectrograms of {frontend.channels} x {frontend.bands} bands of up "
            f"to {MOST_FRAMES} frames."
        )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if map_shape(model, frontend, middle) else (middle, high)
    if len(shape) != 4 or shape[1] != model.model.num_features:
        raise ConfigError(
            f"{name} gives no feature map [N, C, bands, frames] but {list(shape)}; choose a "
            "convolutional model."
        )
    return high, shape[1]


def never_called(model: FeatureMap, frontend: Frontend, frames: int) -> list[str]:
    """Return the names of modules that have parameters but are not needed for the feature map.

    Examples are the classifier and the final norm. Of nested modules, only the outermost is listed.
    """
    called: set[nn.Module] = set()
    for module in model.modules():
        module.register_forward_hook(lambda module, *_: called.add(module))
    map_shape(model, frontend, frames)

    def search(parent: nn.Module, prefix: str) -> Iterator[str]:
        for name, child in parent.named_children():
            if not called.isdisjoint(child.modules()):
                yield from search(child, f"{prefix}{name}.")
            elif any(True for _ in child.parameters()):
                yield f"{prefix}{name}"

    return list(search(model, ""))


class EfficientNetB0(TimmEncoder):
    """Encoder of COLA: EfficientNet-B0 with max-pooling of a feature map of 1280 channels.

    It has 4,006,972 parameters with one input channel.

    Args:
        drop_path: stochastic depth rate; 0.2 gives rates of 0, 0.0125, ..., 0.1875 for the
            successive blocks.
        frontend, segment_samples, normalize: see `TimmEncoder`.
        pool: None is max-pooling, as in the paper; the JAX port uses the mean.
    """

    def __init__(
        self,
        drop_path: float = 0.2,
        frontend: Frontend | None = None,
        segment_samples: int | None = None,
        normalize: Normalization | None = None,
        pool: Pool | None = None,
    ):
        pool = MaxPool() if pool is None else pool
        super().__init__(
            "efficientnet_b0", drop_path, None, frontend, segment_samples, normalize, pool
        )


class ConvNeXtTiny(TimmEncoder):
    """ConvNeXt-Tiny with the mean over a feature map of 768 channels, as in the JAX port of COLA.

    It has 27,815,520 parameters with one input channel, no final norm, and the tanh approximation
    of GELU.

    Args:
        drop_path: stochastic depth rate; the JAX port declares 0.1 but does not apply it.
        frontend, segment_samples, normalize, pool: see `TimmEncoder`.
    """

    name = "convnext_tiny"

    def __init__(
        self,
        drop_path: float = 0.1,
        frontend: Frontend | None = None,
        segment_samples: int | None = None,
        normalize: Normalization | None = None,
        pool: Pool | None = None,
    ):
        super().__init__(
            self.name,
            drop_path,
            {"act_layer": "gelu_tanh"},
            frontend,
            segment_samples,
            normalize,
            pool,
        )


class ConvNeXtLarge(ConvNeXtTiny):
    """ConvNeXt-Large: 196,221,120 parameters with one input channel, an embedding of width 1536.

    The arguments are those of `ConvNeXtTiny`.
    """

    name = "convnext_large"

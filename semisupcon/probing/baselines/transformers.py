"""Audio models of Hugging Face transformers as baselines, from a local folder.

The supported models are AST (Gong et al. 2021), wav2vec 2.0 (Baevski et al. 2020), HuBERT (Hsu et
al. 2021), WavLM (Chen et al. 2022), and the audio tower of CLAP (Wu et al. 2023). The folder must
have ``config.json``, ``preprocessor_config.json`` and ``model.safetensors``, as written by
``save_pretrained``. The feature extractor and the model of the library run unchanged. Nothing is
downloaded. Remote code and pickled weights are refused.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from semisupcon.digests import digest_of
from semisupcon.errors import CheckpointError, ConfigError, first_line
from semisupcon.probing.baselines.base import Extractor, need
from semisupcon.probing.embeddings.untrained import seeded

MODELS = {
    "audio-spectrogram-transformer": "ASTModel",
    "wav2vec2": "Wav2Vec2Model",
    "hubert": "HubertModel",
    "wavlm": "WavLMModel",
    "clap": "ClapModel",
    "clap_audio_model": "ClapAudioModel",
}
SPECTROGRAM = ("audio-spectrogram-transformer", "clap", "clap_audio_model")
POOLINGS = ("mean", "first", "model")
LICENCE = "of the model"
# Tensors that are used in training only, so they may be missing in a file.
UNUSED = ("masked_spec_embed",)


class HuggingFace(Extractor):
    """Embeddings of an audio model of transformers, ``[N, D]``.

    A clip is cut into windows of ``seconds``, and the embeddings of its windows are averaged. The
    last window has the rest of the clip; the feature extractor pads it if the model requires this.
    No other padding is used, so no attention mask is needed.

    Args:
        folder: folder of the model.
        layer: index of a hidden state. 0 is the input of the first block; negative indices count
            from the end. None for the output of the model.
        pooling: "mean" over tokens, "first" token, or "model" (the pooled output of AST and CLAP).
        seconds: maximum length of a window; None for the input length of the model, at most 30 s.
        weights: whether to load the weights. If false, the model stays untrained.

    Raises:
        ConfigError: if transformers is not installed, or for an unknown option.
        CheckpointError: for a missing or incomplete folder, or an unsupported model.
    """

    package = "transformers"
    licence = LICENCE
    whole_clips = True
    has_untrained = True

    def __init__(
        self,
        folder: str,
        layer: int | None = None,
        pooling: str = "mean",
        seconds: float | None = None,
        weights: bool = True,
    ):
        need("transformers", f"hf:{folder}", "'semisupcon[transformers]'")
        if pooling not in POOLINGS:
            raise ConfigError(f"pooling of hf is {', '.join(POOLINGS)}; got '{pooling}'.")
        if pooling == "model" and layer is not None:
            raise ConfigError("pooling 'model' of hf has no layer: leave one of them out.")
        kind, extractor, model = load_model(Path(folder), weights)
        rate = int(extractor.sampling_rate)
        shortest = _shortest(kind, model.config)
        window = _window(kind, extractor, rate, seconds)
        if window < shortest:
            raise ConfigError(
                f"seconds of hf must be at least {shortest / rate:.3g} for {folder}, got {seconds}."
            )
        model.eval()
        # Kept in a variable, because a module can be assigned only after super().__init__().
        parts = (kind, extractor, window, layer, pooling)
        with torch.no_grad():
            width = _embed(model, torch.zeros(1, max(shortest, rate // 10)), parts).shape[1]
        super().__init__(width, rate, min(window, rate), min_samples=shortest)
        self._parts, self.model = parts, model
        self._folder = Path(folder)
        self.layer = "output" if layer is None else f"hidden state {layer}"
        self.pooling = {
            "mean": "mean over tokens",
            "first": "first token",
            "model": "pooled output of the model",
        }[pooling] + f", mean over windows of {window / rate:.3g} s"

    def vectors(self, x: Tensor) -> Tensor:
        return _embed(self.model, x, self._parts)

    def sequence(self, x: Tensor) -> Tensor:
        """Return the tokens ``[N, D, F]`` of one window.

        Raises:
            ConfigError: for AST and CLAP, whose tokens are patches of a spectrogram, not frames.
        """
        if self._parts[0] in SPECTROGRAM:
            return super().sequence(x)
        return _hidden(self.model, x, self._parts).mT

    def untrained(self, seed: int) -> Extractor:
        with seeded(seed):
            return HuggingFace(**(self._init_args | {"weights": False}))

    def code(self) -> list[list[str]]:
        file = self._folder / "preprocessor_config.json"
        return [*super().code(), [file.name, digest_of(file)]]


def load_model(folder: Path, weights: bool = True) -> tuple[str, Any, Any]:
    """Load a model of transformers from a folder.

    Returns:
        Type of the model, feature extractor, and model.

    Raises:
        CheckpointError: for a missing or incomplete folder, or an unsupported model.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # transformers reads it on import
    import transformers

    kind = model_type(folder)
    if kind not in MODELS:
        raise CheckpointError(
            f"{folder} holds a model of type '{kind}'; hf reads {', '.join(MODELS)}."
        )
    cls = getattr(transformers, MODELS[kind])
    for name in ("preprocessor_config.json", *(("model.safetensors",) if weights else ())):
        if not (folder / name).is_file() and not (folder / f"{name}.index.json").is_file():
            raise CheckpointError(
                f"{folder} has no {name}.\nSave the model and its feature extractor with "
                "save_pretrained (safetensors; pickled weights are not read)."
            )
    try:
        with _quiet(transformers):
            extractor = transformers.AutoFeatureExtractor.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
            if not weights:
                config = cls.config_class.from_pretrained(folder, local_files_only=True)
                return kind, extractor, _tower(kind, cls(config))
            model, told = cls.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
    except Exception as error:  # An untrusted file may fail anywhere.
        raise CheckpointError(
            f"{folder} cannot be read by transformers: {first_line(error, 200)}"
        ) from error
    absent = [name for name in told["missing_keys"] if name.rpartition(".")[2] not in UNUSED]
    if kind == "clap":
        absent = [name for name in absent if name.startswith("audio_model.")]
    if absent:
        raise CheckpointError(
            f"The weights in {folder} lack {len(absent)} tensors of {MODELS[kind]}, such as "
            f"{sorted(absent)[0]}."
        )
    return kind, extractor, _tower(kind, model)


def model_type(folder: Path) -> str | None:
    """Return the type of a model from its ``config.json``; None if the file names no type.

    Raises:
        CheckpointError: if there is no ``config.json``, or it is not valid JSON.
    """
    try:
        content = json.loads((folder / "config.json").read_text())
    except FileNotFoundError as error:
        raise CheckpointError(f"No model of transformers at {folder}: no config.json.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{folder / 'config.json'} is not valid JSON.") from error
    found = content.get("model_type") if isinstance(content, dict) else None
    return found if isinstance(found, str) else None


def _tower(kind: str, model: Any) -> Any:
    return model.audio_model if kind == "clap" else model


def _shortest(kind: str, config: Any) -> int:
    """Return the length of one frame in samples, which is the minimum length of a clip."""
    if kind in SPECTROGRAM:
        return 400
    samples = 1
    for kernel, stride in zip(config.conv_kernel[::-1], config.conv_stride[::-1], strict=True):
        samples = (samples - 1) * stride + kernel
    return samples


def _window(kind: str, extractor: Any, rate: int, seconds: float | None) -> int:
    """Return the maximum length of a window in samples."""
    longest = 30 * rate
    if kind == "audio-spectrogram-transformer":
        # The spectrogram has frames of 25 ms every 10 ms.
        longest = int(0.01 * rate) * (extractor.max_length - 1) + int(0.025 * rate)
    elif kind in SPECTROGRAM:
        longest = int(extractor.nb_max_samples)
    if seconds is None:
        return longest
    if not isinstance(seconds, int | float) or seconds <= 0 or seconds * rate > longest:
        raise ConfigError(
            f"seconds of hf must be positive and at most {longest / rate:.3g}, got {seconds}."
        )
    return int(seconds * rate)


def _embed(model: Any, x: Tensor, parts: tuple) -> Tensor:
    """Return the embeddings ``[N, D]`` of waveforms ``[N, T]``, averaged over windows."""
    kind, _, window, _, pooling = parts
    shortest = _shortest(kind, model.config)
    windows = list(x.split(window, dim=1))
    if len(windows) > 1 and windows[-1].shape[1] < shortest:
        windows.pop()
    rows = []
    for some in windows:
        tokens = _hidden(model, some, parts)
        if pooling == "mean":
            rows.append(tokens.mean(dim=1))
        else:
            rows.append(tokens[:, 0] if pooling == "first" else tokens)
    return torch.stack(rows).mean(dim=0)


def _hidden(model: Any, x: Tensor, parts: tuple) -> Tensor:
    """Return the tokens ``[N, F, D]`` of a window, or the pooled output ``[N, D]``."""
    kind, extractor, _, layer, pooling = parts
    given = _inputs(extractor, x)
    answer = model(**given, output_hidden_states=layer is not None, return_dict=True)
    if pooling == "model":
        pooled = getattr(answer, "pooler_output", None)
        if pooled is None:
            raise ConfigError(f"A model of type {kind} has no pooled output; use pooling mean.")
        return pooled.flatten(1)
    if layer is None:
        tokens = answer.last_hidden_state
    else:
        states = answer.hidden_states
        if not -len(states) <= layer < len(states):
            raise ConfigError(f"layer of hf is 0 to {len(states) - 1} for this model; got {layer}.")
        tokens = states[layer]
    return tokens.flatten(2).mT if tokens.dim() == 4 else tokens  # CLAP: [N, D, bands, frames]


def _inputs(extractor: Any, x: Tensor) -> dict[str, Tensor]:
    """Run the feature extractor on waveforms ``[N, T]`` and return the inputs of the model."""
    rows = []
    # CLAP's extractor draws from NumPy's global generator, although the draw has no effect here.
    # Restore the state of the generator afterwards.
    state = np.random.get_state()  # noqa: NPY002
    try:
        for wave in x.detach().cpu().numpy():
            rows.append(
                extractor(wave.copy(), sampling_rate=extractor.sampling_rate, return_tensors="pt")
            )
    finally:
        np.random.set_state(state)  # noqa: NPY002
    names = [name for name in ("input_values", "input_features", "is_longer") if name in rows[0]]
    joined = {name: torch.cat([torch.as_tensor(row[name]) for row in rows]) for name in names}
    return {
        name: value.to(x.device).float() if value.is_floating_point() else value.to(x.device)
        for name, value in joined.items()
    }


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Context manager that hides progress bars and warnings about unused tensors of heads."""
    told = transformers.logging
    level, bars = told.get_verbosity(), told.is_progress_bar_enabled()
    told.set_verbosity_error()
    told.disable_progress_bar()
    try:
        yield
    finally:
        told.set_verbosity(level)
        if bars:
            told.enable_progress_bar()

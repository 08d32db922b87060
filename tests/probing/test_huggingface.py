"""Audio models of transformers from a local folder, against the library's own feature extractor and
forward pass. The configurations are tiny and randomly initialised: no real weights are read."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from semisupcon.commands.probe import main
from semisupcon.errors import CheckpointError, ConfigError
from semisupcon.probing.baselines import extractor
from semisupcon.probing.embeddings.encoders import load_subject, random_twin

transformers = pytest.importorskip(
    "transformers", reason="transformers is not installed; make test-slow"
)

SIZE = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}
CONVOLUTIONS = {
    "conv_dim": (8, 8),
    "conv_kernel": (10, 8),
    "conv_stride": (5, 4),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
CLAP = {
    "spec_size": 64,
    "num_mel_bins": 64,
    "patch_embeds_hidden_size": 8,
    "depths": [1, 1],
    "num_attention_heads": [1, 2],
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "window_size": 4,
}


def clap_config(fusion):
    return transformers.ClapConfig(
        audio_config=transformers.ClapAudioConfig(**CLAP, enable_fusion=fusion).to_dict(),
        text_config=transformers.ClapTextConfig(**SIZE, vocab_size=10).to_dict(),
    )


def speech(name, **more):
    config = getattr(transformers, f"{name}Config")(**SIZE, **CONVOLUTIONS, **more)
    return getattr(transformers, f"{name}Model")(config)


def build(kind):
    """A tiny model and its feature extractor."""
    if kind == "ast":
        config = transformers.ASTConfig(**SIZE, max_length=64, num_mel_bins=32)
        return transformers.ASTModel(config), transformers.ASTFeatureExtractor(
            num_mel_bins=32, max_length=64
        )
    if kind.startswith("clap"):
        model = transformers.ClapModel(clap_config(kind == "clap fusion"))
        how = "fusion" if kind == "clap fusion" else "rand_trunc"
        return model, transformers.ClapFeatureExtractor(
            max_length_s=1, sampling_rate=16000, frequency_max=8000, truncation=how
        )
    if kind == "wav2vec2 layer norm":
        return speech("Wav2Vec2", feat_extract_norm="layer", do_stable_layer_norm=True), (
            transformers.Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)
        )
    model = speech({"wav2vec2": "Wav2Vec2", "hubert": "Hubert", "wavlm": "WavLM"}[kind])
    return model, transformers.Wav2Vec2FeatureExtractor(do_normalize=kind != "wavlm")


KINDS = ("ast", "wav2vec2", "wav2vec2 layer norm", "hubert", "wavlm", "clap", "clap fusion")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("hf")
    for i, kind in enumerate(KINDS):
        torch.manual_seed(i)
        model, features = build(kind)
        model.save_pretrained(root / kind)
        features.save_pretrained(root / kind)
    return root


@pytest.fixture(scope="module")
def clip():
    return 0.1 * torch.randn(1, 1, 9000, generator=torch.Generator().manual_seed(0))


def own_forward(folder, kind, wave, **more):
    """The output of the library on one clip."""
    features = transformers.AutoFeatureExtractor.from_pretrained(folder)
    given = features(wave.numpy(), sampling_rate=16000, return_tensors="pt")
    model = transformers.AutoModel.from_pretrained(folder).eval()
    model = model.audio_model if kind.startswith("clap") else model
    given = {k: v.float() if v.is_floating_point() else v for k, v in given.items()}
    with torch.no_grad():
        return model(**given, **more)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_forward_pass_of_transformers(folders, clip, kind):
    answer = own_forward(folders / kind, kind, clip[0, 0])
    tokens = answer.last_hidden_state
    expected = tokens.mean(dim=(2, 3)) if tokens.dim() == 4 else tokens.mean(dim=1)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    with torch.no_grad():
        found = extractor(f"hf:{folders / kind}").eval()(clip)
    assert (found - expected).abs().max() < 1e-5
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("kind", ["ast", "wav2vec2"])
def test_layers_and_poolings(folders, clip, kind):
    states = own_forward(folders / kind, kind, clip[0, 0], output_hidden_states=True)
    for arguments, expected in (
        ({"layer": 1}, states.hidden_states[1].mean(1)),
        ({"layer": 0, "pooling": "first"}, states.hidden_states[0][:, 0]),
    ):
        given = {"folder": str(folders / kind), **arguments}
        with torch.no_grad():
            found = extractor("hf", given).eval()(clip)
        assert (found - expected).abs().max() < 1e-5


def test_pooled_output_of_the_model(folders, clip):
    for kind in ("ast", "clap"):
        expected = own_forward(folders / kind, kind, clip[0, 0]).pooler_output.flatten(1)
        given = {"folder": str(folders / kind), "pooling": "model"}
        with torch.no_grad():
            found = extractor("hf", given).eval()(clip)
        assert (found - expected).abs().max() < 1e-5


def test_long_clips_are_the_mean_over_windows_and_batches_change_nothing(folders, clip):
    encoder = extractor("hf", {"folder": str(folders / "hubert"), "seconds": 0.25}).eval()
    with torch.no_grad():
        parts = [
            encoder(some) for some in (clip[..., :4000], clip[..., 4000:8000], clip[..., 8000:])
        ]
        assert (encoder(clip) - torch.stack(parts).mean(0)).abs().max() < 1e-5
        pair = torch.cat([clip, clip.flip(2)])
        assert (encoder(pair)[:1] - encoder(clip)).abs().max() < 1e-5


def test_probe_takes_a_folder_and_its_untrained_twin(folders, tones, tmp_path):
    """The folder itself, the same with hf:, and options in a file."""
    (tmp_path / "first.yaml").write_text(
        f"class_path: hf\ninit_args: {{folder: '{folders}/hubert', layer: 1, pooling: first}}\n"
    )
    status = main(
        [
            *("--tasks", "pitch=csv", f"--data_dirs.pitch={tones}", "--methods", "knn"),
            "--checkpoints",
            f"[{folders}/hubert,a=hf:{folders}/wavlm,{tmp_path}/first.yaml,random]",
            *("--out", str(tmp_path / "out"), "--cache_dir", str(tmp_path / "cache")),
            *("--projection", "none", "--resamples", "20"),
        ]
    )
    assert status == 0
    rows = pd.read_csv(tmp_path / "out" / "results.csv")
    assert set(rows["checkpoint"][rows["source"] == "public"]) == {"hubert", "a", "first"}
    facts = pd.read_csv(tmp_path / "out" / "encoders.csv").set_index("encoder")
    assert facts.loc["first", "layer"] == "hidden state 1"
    assert facts.loc["hubert", "pooling"] == "mean over tokens, mean over windows of 30 s"
    assert facts.loc["hubert", "package"].startswith("transformers ")


def test_the_untrained_twin_is_initialised_by_the_library(folders, clip):
    subject = load_subject(f"hf:{folders / 'wav2vec2'}")
    twin, same = (random_twin(subject, seed=0) for _ in range(2))
    assert twin.fingerprint() == same.fingerprint() != subject.fingerprint()
    name = "model.encoder.layers.0.attention.k_proj.weight"
    assert not torch.equal(twin.encoder.state_dict()[name], subject.encoder.state_dict()[name])


def test_another_preprocessor_is_another_encoder(folders, tmp_path):
    folder = shutil.copytree(folders / "wavlm", tmp_path / "m")
    before = load_subject(f"hf:{folder}").fingerprint()
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"do_normalize": True}))
    assert load_subject(f"hf:{folder}").fingerprint() != before


def test_mistakes(folders, tmp_path):
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        load_subject(f"hf:{tmp_path / 'absent'}")
    broken = shutil.copytree(folders / "hubert", tmp_path / "broken")
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))
    with pytest.raises(CheckpointError, match="type 'bert'; hf reads audio-spectrogram"):
        load_subject(f"hf:{broken}")
    (broken / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="not valid JSON"):
        load_subject(f"hf:{broken}")
    (broken / "config.json").write_text(json.dumps(config))
    (broken / "model.safetensors").write_bytes(b"12345678")
    with pytest.raises(CheckpointError, match="cannot be read by transformers"):
        load_subject(f"hf:{broken}")
    (broken / "model.safetensors").rename(broken / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"no model\.safetensors"):
        load_subject(f"hf:{broken}")
    good = str(folders / "hubert")
    for wrong, said in (
        ({"layer": 7}, "layer of hf is 0 to 2"),
        ({"pooling": "max"}, "pooling of hf is mean"),
        ({"pooling": "model"}, "no pooled output"),
        ({"seconds": 100}, "at most 30"),
        ({"seconds": 0.0001}, "at least"),
    ):
        with pytest.raises(ConfigError, match=said):
            extractor("hf", {"folder": good, **wrong})


def test_missing_tensors_are_told(folders, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(folders / "ast", tmp_path / "ast")
    state = load_file(folder / "model.safetensors")
    state.pop(next(name for name in state if "layernorm" in name))
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="lack 1 tensors of ASTModel"):
        load_subject(f"hf:{folder}")

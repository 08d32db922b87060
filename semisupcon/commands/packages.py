"""Packages that `pip install .` does not bring, and what a command says when one is missing."""

from importlib.util import find_spec

from semisupcon.errors import UserError

# Module -> what pip installs. Other modules are not ours to name: a typo in an import keeps its traceback.
PIP = {
    "jsonargparse": "'jsonargparse[signatures]'",
    "litdata": "'litdata>=0.2.76'",
    "matplotlib": "matplotlib",
    "mir_eval": "mir_eval",
    "pandas": "pandas",
    "pedalboard": "pedalboard",
    "pyarrow": "pyarrow",
    "pytorch_lightning": "pytorch-lightning",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "tensorboard": "tensorboard",
    "timm": "timm",
    "torchaudio": "torchaudio",
    "torchmetrics": "torchmetrics",
    "tqdm": "tqdm",
    "umap": "umap-learn",
    "wandb": "wandb",
    "yaml": "pyyaml",
}
# What a command needs in any case, so that one installation is enough.
NEEDS = {
    "data": ("pandas", "scipy", "tqdm", "yaml"),
    "hear": ("matplotlib", "yaml"),
    "pack": ("jsonargparse", "pandas", "pytorch_lightning", "scipy", "torchmetrics", "tqdm", "yaml"),
    "pretrain": ("jsonargparse", "matplotlib", "pandas", "pytorch_lightning", "scipy", "torchmetrics", "tqdm", "yaml"),
    "probe": ("jsonargparse", "matplotlib", "pandas", "scipy", "sklearn", "tqdm", "yaml"),
    "stream": ("litdata", "pandas", "pytorch_lightning", "scipy", "tqdm"),
}


def missing_package(command: str, error: ModuleNotFoundError) -> UserError | None:
    """What to tell the user about a failed import; None when it is not about a package that pip installs."""
    package = (error.name or "").partition(".")[0]
    if package not in PIP:
        return None
    absent = [package, *(name for name in NEEDS.get(command, ()) if name != package and not _installed(name))]
    return UserError(
        f"The command {command} needs packages that are not installed: {', '.join(absent)}.\n"
        f"pip install {' '.join(PIP[name] for name in absent)}"
    )


def _installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ImportError:
        return False

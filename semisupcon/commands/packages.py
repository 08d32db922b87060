"""The optional packages of each command, and the error message if they are missing."""

from importlib.util import find_spec

from semisupcon.errors import UserError

# Module -> pip requirement. A missing module that is not listed keeps its traceback, because the
# cause may be a typo in an import.
PIP = {
    "datasets": "'datasets>=4'",
    "faiss": "faiss-cpu",
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
# Command -> all optional packages that it needs, so that one pip command installs them.
NEEDS = {
    "data": ("pandas", "scipy", "tqdm", "yaml"),
    "explore": ("sklearn",),
    "hear": ("matplotlib", "yaml"),
    "pack": (
        "jsonargparse",
        "pandas",
        "pytorch_lightning",
        "scipy",
        "torchmetrics",
        "tqdm",
        "yaml",
    ),
    "predict": ("pandas", "scipy", "yaml"),
    "pretrain": (
        "jsonargparse",
        "matplotlib",
        "pandas",
        "pytorch_lightning",
        "scipy",
        "torchmetrics",
        "tqdm",
        "yaml",
    ),
    "probe": ("jsonargparse", "matplotlib", "pandas", "scipy", "sklearn", "tqdm", "yaml"),
    "tag": ("pandas", "scipy", "sklearn", "yaml"),
    "stream": ("litdata", "pandas", "pytorch_lightning", "scipy", "tqdm"),
}


def missing_package(command: str, error: ModuleNotFoundError) -> UserError | None:
    """Return the error for a failed import, with all missing packages and the pip command.

    Args:
        command: name of the command.
        error: exception of the failed import.

    Returns None if the module is not one of the optional packages.
    """
    package = (error.name or "").partition(".")[0]
    if package not in PIP:
        return None
    absent = [
        package,
        *(name for name in NEEDS.get(command, ()) if name != package and not _installed(name)),
    ]
    return UserError(
        f"The command {command} needs packages that are not installed: {', '.join(absent)}.\n"
        f"pip install {' '.join(PIP[name] for name in absent)}"
    )


def _installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ImportError:
        return False

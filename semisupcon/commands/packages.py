"""Optional packages, and the error message of a command that needs a missing one."""

from importlib.util import find_spec

from semisupcon.errors import UserError

# Module -> pip requirement. Other missing modules keep their traceback: the cause may be a typo in
# an import.
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
# All packages that a command needs, so that one pip command installs them.
NEEDS = {
    "data": ("pandas", "scipy", "tqdm", "yaml"),
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
    "stream": ("litdata", "pandas", "pytorch_lightning", "scipy", "tqdm"),
}


def missing_package(command: str, error: ModuleNotFoundError) -> UserError | None:
    """Error that names the missing packages and the pip command; None if pip installs no package
    for the failed import.
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

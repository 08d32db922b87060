"""Names of augmentations: class names in snake case, and old names."""

import functools
import logging
import re

# Old names in aug_list of SemiSupCon and of version 0.1, and in the chains of CLMR and MT-SLVR of
# version 0.1.
OLD_NAMES = {
    "bitcrush": "bit_crush",
    "noise": "add_noise",
    "splice": "splice_out",
    "time_masking": "time_mask",
    "timestretch": "time_stretch",
}
log = logging.getLogger(__name__)


@functools.cache
def current_name(name: str) -> str:
    """Return the current name of an augmentation; other names than old ones are unchanged.

    Each old name is logged once.
    """
    if name not in OLD_NAMES:
        return name
    log.warning(
        "The augmentation %s is now called %s. The old name still works in this version.",
        name,
        OLD_NAMES[name],
    )
    return OLD_NAMES[name]


def snake_case(name: str) -> str:
    """Convert a class name to snake case, such as ``TimeStretch`` to ``time_stretch``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()

"""Old names of augmentations. The current names are the class names in snake case."""

import functools
import logging
import re

# From aug_list of SemiSupCon and version 0.1, and the chains of CLMR and MT-SLVR in version 0.1.
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
    """Current name for an old one, with one log message per name; other names are unchanged."""
    if name not in OLD_NAMES:
        return name
    log.warning(
        "The augmentation %s is now called %s. The old name still works in this version.",
        name,
        OLD_NAMES[name],
    )
    return OLD_NAMES[name]


def snake_case(name: str) -> str:
    """Convert a class name to snake case: ``TimeStretch`` to ``time_stretch``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()

"""Names of augmentations in earlier versions. Today's are the class names in snake case."""

import functools
import logging
import re

# aug_list of SemiSupCon and of version 0.1; operators of the chains of CLMR and MT-SLVR in version 0.1.
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
    """The name in use for an old one, with a note in the log the first time; any other name as it is."""
    if name not in OLD_NAMES:
        return name
    log.warning("The augmentation %s is now called %s. The old name still works in this version.", name, OLD_NAMES[name])
    return OLD_NAMES[name]


def snake_case(name: str) -> str:
    """``time_stretch`` of ``TimeStretch``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()

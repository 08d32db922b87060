"""Studies of a suite in addition to probes: maps of embeddings, robustness to corruptions,
invariance to augmentations, label efficiency, and overlap with the pretraining audio.
"""

from semisupcon.probing.studies.run import (
    Studies,
    map_file,
    study_invariance,
    study_map,
    study_robustness,
)

__all__ = ["Studies", "map_file", "study_invariance", "study_map", "study_robustness"]

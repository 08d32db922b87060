"""Further studies of a suite: maps of embeddings, robustness to corruptions, invariance to
augmentations.
"""

from semisupcon.probing.studies.run import (
    Studies,
    map_file,
    study_invariance,
    study_map,
    study_robustness,
)

__all__ = ["Studies", "map_file", "study_invariance", "study_map", "study_robustness"]

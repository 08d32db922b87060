"""Studies beside probing: maps of embeddings, robustness to corruptions, invariance to operators."""

from semisupcon.probing.studies.run import Studies, map_file, study_invariance, study_map, study_robustness

__all__ = ["Studies", "map_file", "study_invariance", "study_map", "study_robustness"]

"""The probe methods ``linear`` and ``mlp``, which train a head on frozen embeddings."""

from semisupcon.probing.methods.base import Case, FineTuning, Method, Outcome, Settings
from semisupcon.probing.methods.layers import probe_layers
from semisupcon.probing.methods.linear import probe


class Linear(Method):
    """Method that trains a linear head on frozen embeddings."""

    name = "linear"
    depends = ("aggregation", "training")
    probabilities = True

    def run(self, case: Case) -> list[Outcome]:
        if case.settings.layers != "last":
            return probe_layers(case, self.name)
        return [probe(case.features, self.name, case.settings, case.seed)]

    def options(self, settings: Settings, fine_tuning: FineTuning) -> object:
        layers = [] if settings.layers == "last" else [settings.layers]
        known = [getattr(settings, name) for name in self.depends]
        return [*known, *settings.training.newer(), *layers]


class MLP(Linear):
    """Method that trains a head with one hidden layer on frozen embeddings."""

    name = "mlp"

"""Heads on embeddings: projectors, predictors and probes, with the published default widths.

The input width of a head is given by the user, or set from the encoder by `Head.connect`.
`Head.connect` also sets the output width of heads that predict classes or operators. For other
heads, `Head.complete` requires that the output width is known.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from semisupcon.errors import ConfigError
from semisupcon.spec import Recorded


class Head(Recorded):
    """Base class of heads: modules that map ``[N, in_dim]`` to ``[N, out_dim]``.

    Subclasses define ``make(in_dim, out_dim)``.

    Args:
        in_dim: width of the input; None until `connect` sets it.
        out_dim: width of the output; None until `connect` sets it.
        hidden: widths of the hidden layers.

    Raises:
        ConfigError: if a width is below 1.
    """

    def __init__(
        self, in_dim: int | None = None, out_dim: int | None = None, hidden: Sequence[int] = ()
    ):
        super().__init__()
        if any(width is not None and width < 1 for width in (in_dim, out_dim, *hidden)):
            parts = {"in_dim": in_dim, "hidden": list(hidden) or None, "out_dim": out_dim}
            given = ", ".join(
                f"{part} {value}" for part, value in parts.items() if value is not None
            )
            raise ConfigError(f"{type(self).__name__} needs widths of at least 1, got {given}.")
        self.in_dim, self.out_dim = in_dim, out_dim
        self.net: nn.Sequential | None = None
        self.connect()

    def make(self, in_dim: int, out_dim: int) -> nn.Sequential:
        """Build the layers for the given input and output widths."""
        raise TypeError(f"{type(self).__name__} defines no make(in_dim, out_dim)")

    def connect(self, in_dim: int | None = None, out_dim: int | None = None) -> None:
        """Set the widths of input and output, or check them if they are set already.

        The layers are built once both widths are known. The widths are stored in the spec of the
        head.

        Raises:
            ConfigError: if the widths of the head differ from the given ones.
        """
        for side, given in (("in_dim", in_dim), ("out_dim", out_dim)):
            have = getattr(self, side)
            if given is not None and have not in (None, given):
                other = f"has inputs of width {have}, but the embedding is {given} wide"
                other = other if side == "in_dim" else f"has {have} outputs, but {given} are needed"
                raise ConfigError(
                    f"{type(self).__name__} {other}; leave {side} out to set it automatically."
                )
            if given is not None and have is None:
                setattr(self, side, given)
                self._init_args[side] = given
        if self.net is None and self.in_dim is not None and self.out_dim is not None:
            self.net = self.make(self.in_dim, self.out_dim)

    def complete(self, in_dim: int, out_dim: int | None = None) -> int:
        """Connect a projector or predictor and build all its layers.

        Returns:
            The output width of the head.

        Raises:
            ConfigError: if the widths of the head differ from the given ones, or its output width
                is unknown.
        """
        self.connect(in_dim, out_dim)
        if self.net is None or self.out_dim is None:
            raise ConfigError(
                f"{type(self).__name__} needs out_dim: its output width does not follow from the "
                "data."
            )
        return self.out_dim

    def forward(self, x: Tensor) -> Tensor:
        if self.net is None:
            raise ConfigError(
                f"{type(self).__name__} has no layers yet; give in_dim and out_dim, or call "
                "connect()."
            )
        return self.net(x)


def mlp(
    widths: Sequence[int], bias: bool = True, norm: bool = False, norm_last: bool = False
) -> nn.Sequential:
    """Build linear layers of the given widths (input first) with ReLU between them.

    ``norm`` adds batch norm before each ReLU, ``norm_last`` adds batch norm after the last layer.
    """
    layers: list[nn.Module] = []
    for i in range(1, len(widths)):
        last = i == len(widths) - 1
        layers.append(nn.Linear(widths[i - 1], widths[i], bias=bias))
        if norm_last if last else norm:
            layers.append(nn.BatchNorm1d(widths[i]))
        if not last:
            layers.append(nn.ReLU())
    return nn.Sequential(*layers)


class ProjectionHead(Head):
    """An MLP with ReLU between its layers. Contrastive losses compare its outputs.

    SemiSupCon uses the widths 512 and 128 without biases (327,680 parameters for embeddings of
    width 512). CLMR uses 512 and 64 (294,912 parameters).

    Args:
        widths: widths of the layers; the last one is the output.
        bias: whether the layers have biases.
        in_dim: width of the embedding; None until `connect` sets it.
    """

    def __init__(
        self, widths: Sequence[int] = (512, 128), bias: bool = False, in_dim: int | None = None
    ):
        if not widths:
            raise ConfigError(
                "ProjectionHead needs at least the width of its output, such as widths [512, 128]."
            )
        self.widths, self.bias = list(widths), bias
        super().__init__(in_dim, widths[-1], hidden=widths[:-1])

    def make(self, in_dim: int, out_dim: int) -> nn.Sequential:
        return mlp([in_dim, *self.widths], bias=self.bias)


class SimCLRHead(Head):
    """SimCLR projector of MT-SLVR: a hidden layer as wide as the embedding, ReLU, and an output
    layer.

    It has 1,257,256 parameters for embeddings of width 1000.

    Args:
        out_dim: width of the output; 256 in MT-SLVR.
        in_dim: width of the embedding; None until `connect` sets it.
    """

    def __init__(self, out_dim: int = 256, in_dim: int | None = None):
        super().__init__(in_dim, out_dim)

    def make(self, in_dim: int, out_dim: int) -> nn.Sequential:
        return mlp([in_dim, in_dim, out_dim])


class SimSiamProjector(Head):
    """Projector of SimSiam (Chen and He 2021): three linear layers with batch norm.

    ReLU follows the first two layers. It has 10,455,040 parameters for embeddings of width 1000.

    Args:
        out_dim: width of all layers; 2048 in the paper and in MT-SLVR.
        layers: number of layers; 3 in the paper, which uses 2 for small images.
        in_dim: width of the embedding; None until `connect` sets it.
    """

    def __init__(self, out_dim: int = 2048, layers: int = 3, in_dim: int | None = None):
        if layers < 1:
            raise ConfigError(f"SimSiamProjector needs at least 1 layer, got {layers}.")
        self.layers = layers
        super().__init__(in_dim, out_dim)

    def make(self, in_dim: int, out_dim: int) -> nn.Sequential:
        return mlp([in_dim, *[out_dim] * self.layers], norm=True, norm_last=True)


class Predictor(Head):
    """Predictor of SimSiam and BYOL: a bottleneck with batch norm and ReLU.

    The output is as wide as the input. It has 2,100,736 parameters for projections of width 2048.

    Args:
        hidden: width of the bottleneck; 512 in SimSiam.
        in_dim: width of the projection; None until `connect` sets it.
    """

    def __init__(self, hidden: int = 512, in_dim: int | None = None):
        self.hidden = hidden
        super().__init__(in_dim, in_dim, hidden=[hidden])

    def connect(self, in_dim: int | None = None, out_dim: int | None = None) -> None:
        width = out_dim if in_dim is None else in_dim
        super().connect(width, width)
        self._init_args.pop("out_dim", None)

    def make(self, in_dim: int, out_dim: int) -> nn.Sequential:
        return mlp([in_dim, self.hidden, out_dim], norm=True)


class COLAHead(Head):
    """Projection of COLA for the bilinear similarity: Linear, LayerNorm, tanh (Saeed et al. 2021).

    It has 656,896 parameters for embeddings of width 1280.

    For the cosine similarity, COLA uses the linear layer alone (`LinearHead`).

    Args:
        out_dim: width of the output; 512 in COLA.
        bias: whether the linear layer has biases; the JAX port of COLA has none.
        epsilon: epsilon of the LayerNorm; 1e-3 in the TensorFlow code of COLA, 1e-6 in the JAX
            port.
        in_dim: width of the embedding; None until `connect` sets it.
    """

    def __init__(
        self,
        out_dim: int = 512,
        bias: bool = True,
        epsilon: float = 1e-3,
        in_dim: int | None = None,
    ):
        self.bias, self.epsilon = bias, epsilon
        super().__init__(in_dim, out_dim)

    def make(self, in_dim: int, out_dim: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Linear(in_dim, out_dim, bias=self.bias),
            nn.LayerNorm(out_dim, eps=self.epsilon),
            nn.Tanh(),
        )


class AugmentationPredictor(Head):
    """Prediction head of MT-SLVR: an MLP with batch norm and ReLU after each hidden layer.

    It has 274,535 parameters for embeddings of width 1000 and 7 operators.

    Args:
        widths: widths of the hidden layers.
        out_dim: number of operators or parameters to predict; None until `connect` sets it.
        in_dim: width of the embedding; None until `connect` sets it.
    """

    def __init__(
        self,
        widths: Sequence[int] = (256, 64, 16),
        out_dim: int | None = None,
        in_dim: int | None = None,
    ):
        self.widths = list(widths)
        super().__init__(in_dim, out_dim, hidden=widths)

    def make(self, in_dim: int, out_dim: int) -> nn.Sequential:
        return mlp([in_dim, *self.widths, out_dim], norm=True)


class LinearHead(Head):
    """One linear layer: the linear probe.

    Args:
        out_dim: number of classes; None until `connect` sets it.
        bias: whether the layer has biases; SemiSupCon's probes have none.
        in_dim: width of the embedding; None until `connect` sets it.
    """

    def __init__(self, out_dim: int | None = None, bias: bool = True, in_dim: int | None = None):
        self.bias = bias
        super().__init__(in_dim, out_dim)

    def make(self, in_dim: int, out_dim: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(in_dim, out_dim, bias=self.bias))


class MLPHead(Head):
    """One hidden layer with ReLU: the MLP probe.

    Args:
        out_dim: number of classes; None until `connect` sets it.
        hidden: width of the hidden layer; 512 in SemiSupCon and CLMR.
        bias: whether the layers have biases; SemiSupCon's probes have none.
        in_dim: width of the embedding; None until `connect` sets it.
    """

    def __init__(
        self,
        out_dim: int | None = None,
        hidden: int = 512,
        bias: bool = True,
        in_dim: int | None = None,
    ):
        self.hidden, self.bias = hidden, bias
        super().__init__(in_dim, out_dim, hidden=[hidden])

    def make(self, in_dim: int, out_dim: int) -> nn.Sequential:
        return mlp([in_dim, self.hidden, out_dim], bias=self.bias)

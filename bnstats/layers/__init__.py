"""Every layer bnstats knows: importing this package fills the registry."""

from bnstats.layers import (
    dropout,
    gated,
    linear,
    normalization,
    pooling,
    rectifiers,
    sigmoidal,
    smooth,
    softmax,
)
from bnstats.layers._parameters import Parameter, ParameterError
from bnstats.layers._registry import (
    ALIASES,
    LAYERS,
    STANDARD,
    Event,
    Expect,
    Input,
    Known,
    Law,
    Layer,
    elementwise,
    register,
    structured,
)

__all__ = [
    "ALIASES",
    "LAYERS",
    "STANDARD",
    "Event",
    "Expect",
    "Input",
    "Known",
    "Law",
    "Layer",
    "Parameter",
    "ParameterError",
    "dropout",
    "elementwise",
    "gated",
    "linear",
    "normalization",
    "pooling",
    "rectifiers",
    "register",
    "sigmoidal",
    "smooth",
    "softmax",
    "structured",
]

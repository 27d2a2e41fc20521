"""Every layer bnstats knows: importing this package fills the registry."""

from bnstats.layers import (
    average_pooling,
    convolution,
    dropout,
    linear,
    max_pooling,
    rectifiers,
    sigmoidal,
    smooth,
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
    "average_pooling",
    "convolution",
    "dropout",
    "elementwise",
    "linear",
    "max_pooling",
    "rectifiers",
    "register",
    "sigmoidal",
    "smooth",
    "structured",
]

"""Every layer bnstats knows: importing this package fills the registry."""

from bnstats.layers import (
    dropout,
    elementary,
    linear,
    piecewise,
    pooling,
    rectifiers,
    shrinkage,
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
    "dropout",
    "elementary",
    "elementwise",
    "linear",
    "piecewise",
    "pooling",
    "rectifiers",
    "register",
    "shrinkage",
    "sigmoidal",
    "smooth",
    "structured",
]

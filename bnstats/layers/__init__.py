"""Every layer bnstats knows: importing this package fills the registry."""

from bnstats.layers import dropout, linear, pooling, rectifiers, sigmoidal, smooth
from bnstats.layers._parameters import Parameter, ParameterError
from bnstats.layers._registry import (
    ALIASES,
    LAYERS,
    STANDARD,
    USER_LAYERS,
    Event,
    Expect,
    Input,
    Known,
    Law,
    Layer,
    elementwise,
    find,
    register,
    structured,
)

__all__ = [
    "ALIASES",
    "LAYERS",
    "STANDARD",
    "USER_LAYERS",
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
    "find",
    "linear",
    "pooling",
    "rectifiers",
    "register",
    "sigmoidal",
    "smooth",
    "structured",
]

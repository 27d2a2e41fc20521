"""Every layer bnstats knows: importing this package fills the registry."""

import importlib
import pkgutil

from bnstats.layers._bound import (
    STANDARD,
    Array,
    Backward,
    BoundLayer,
    Draws,
    Expect,
    Input,
    Law,
    Namespace,
)
from bnstats.layers._initialisation import Init, Weights, weights
from bnstats.layers._known import (
    CONSTANT,
    UNKNOWN,
    ExactMoments,
    Known,
    MomentError,
    summed,
)
from bnstats.layers._parameters import Follows, Parameter, ParameterError, Range, read_parameter
from bnstats.layers._registry import (
    ALIASES,
    LAYERS,
    USER_LAYERS,
    Layer,
    elementwise,
    find,
    pointwise_layer,
    pointwise_moments,
    register,
    structured,
    structured_by_sides,
)

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "ALIASES",
    "CONSTANT",
    "LAYERS",
    "STANDARD",
    "UNKNOWN",
    "USER_LAYERS",
    "Array",
    "Backward",
    "BoundLayer",
    "Draws",
    "ExactMoments",
    "Expect",
    "Follows",
    "Init",
    "Input",
    "Known",
    "Law",
    "Layer",
    "MomentError",
    "Namespace",
    "Parameter",
    "ParameterError",
    "Range",
    "Weights",
    "elementwise",
    "find",
    "pointwise_layer",
    "pointwise_moments",
    "read_parameter",
    "register",
    "structured",
    "structured_by_sides",
    "summed",
    "weights",
]

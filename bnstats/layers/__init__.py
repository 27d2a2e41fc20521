"""Every layer bnstats knows: importing this package fills the registry."""

import importlib
import pkgutil

from bnstats.layers._bound import STANDARD as STANDARD
from bnstats.layers._bound import Array as Array
from bnstats.layers._bound import Backward as Backward
from bnstats.layers._bound import BoundLayer as BoundLayer
from bnstats.layers._bound import Draws as Draws
from bnstats.layers._bound import Expect as Expect
from bnstats.layers._bound import Input as Input
from bnstats.layers._bound import Law as Law
from bnstats.layers._bound import Namespace as Namespace
from bnstats.layers._composition import chained as chained
from bnstats.layers._composition import scaled as scaled
from bnstats.layers._initialisation import INIT_SYNONYMS as INIT_SYNONYMS
from bnstats.layers._initialisation import Init as Init
from bnstats.layers._initialisation import Weights as Weights
from bnstats.layers._initialisation import weights as weights
from bnstats.layers._known import CONSTANT as CONSTANT
from bnstats.layers._known import UNKNOWN as UNKNOWN
from bnstats.layers._known import ExactMoments as ExactMoments
from bnstats.layers._known import Known as Known
from bnstats.layers._known import MomentError as MomentError
from bnstats.layers._known import summed as summed
from bnstats.layers._parameters import Follows as Follows
from bnstats.layers._parameters import Parameter as Parameter
from bnstats.layers._parameters import ParameterError as ParameterError
from bnstats.layers._parameters import Range as Range
from bnstats.layers._parameters import read_parameter as read_parameter
from bnstats.layers._registry import ALIASES as ALIASES
from bnstats.layers._registry import LAYERS as LAYERS
from bnstats.layers._registry import USER_LAYERS as USER_LAYERS
from bnstats.layers._registry import Layer as Layer
from bnstats.layers._registry import elementwise as elementwise
from bnstats.layers._registry import find as find
from bnstats.layers._registry import pointwise_layer as pointwise_layer
from bnstats.layers._registry import pointwise_moments as pointwise_moments
from bnstats.layers._registry import register as register
from bnstats.layers._registry import structured as structured
from bnstats.layers._registry import structured_by_sides as structured_by_sides

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

"""The pytest fixture ``bnstats_verify``, which checks constants beside the code that uses them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from bnstats.verification.check import Check


_SETTINGS = ("samples", "seed", "family_error", "workers", "backend", "device")


@pytest.fixture(scope="session")
def bnstats_verify() -> Callable[..., Check]:
    """Check a constant as ``bnstats verify`` does, and fail with the same message.

    ``bnstats_verify("gelu", "gain_y", "1.7009")``: the value as text keeps the zeros that were
    printed. ``tolerance`` replaces half a unit of the last decimal; ``samples``, ``seed`` and
    ``family_error`` are those of `bnstats.VerifySettings`. The layer may be a function or a torch
    module. A misspelt layer or argument, or a value that is no number, fails the test as well.
    """
    return _verify


def _verify(
    layer: Any,
    quantity: str,
    value: str | float,
    *,
    tolerance: str | float | None = None,
    allow_undecided: bool = False,
    **settings: Any,
) -> Check:
    __tracebackhide__ = True
    # Imported here: pytest loads every plugin at every start, and most runs do not need numpy.
    from bnstats.api import checked_spec
    from bnstats.claims.files import claim
    from bnstats.errors import BnstatsError, hint_for
    from bnstats.report.checks.text import check_text
    from bnstats.verification.cache import Cache
    from bnstats.verification.claims import verify_claims
    from bnstats.verification.gate import VerifySettings

    mistake: BnstatsError | None = None
    try:
        for name in settings:
            if name not in _SETTINGS:
                hint = hint_for(name, ("tolerance", "allow_undecided", *_SETTINGS))
                raise BnstatsError(f"bnstats_verify has no argument {name!r}", hint=hint)
        fields = {"layer": checked_spec(layer), "quantity": quantity, "value": str(value)}
        if tolerance is not None:
            fields["tolerance"] = str(tolerance)
        claims = [claim(fields)]
        (check,) = verify_claims(claims, VerifySettings(cache=Cache(), **settings))
    except BnstatsError as error:
        mistake = error
    if mistake is not None:  # not above: pytest would show both exceptions
        pytest.fail("\n".join(mistake.lines()), pytrace=False)
    if check.outcome == "fail" or (check.outcome == "undecided" and not allow_undecided):
        pytest.fail(check_text(check), pytrace=False)
    return check

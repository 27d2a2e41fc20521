"""One claim, from the fields that a row of a file holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

from bnstats.claims.claim import Claim, Kind
from bnstats.claims.values import parse_value
from bnstats.errors import BnstatsError, hint_for, printable
from bnstats.layers import Law
from bnstats.sampling.settings import checked_law
from bnstats.specs.names import Load
from bnstats.specs.spec import Spec, parse
from bnstats.statistics.quantities import checked_quantity

if TYPE_CHECKING:
    from bnstats.claims.wanted import Inverse

FIELDS = (
    *("layer", "quantity", "value", "tolerance", "samples", "kind", "source", "copies", "remark"),
    *Law._fields,
    *("over", "find"),
)
_KINDS: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}
_INVERSE = 'e.g. over = "x_std=0.1:10:log", find = "std_y=1"'
_MOST_VALUES = 100  # at which the exact values are looked at for a solution
_MAX_SAMPLES = 10**18
_MOST_COPIES = 100


class FieldError(BnstatsError):
    """A claim at fault; ``key`` is the field, or empty where it is the whole row."""

    key: str = ""


def claim_of(row: Any, set_name: str, load: Load, quantity: str | None = None) -> Claim:
    """Return the claim of a row.

    Parameters
    ----------
    row
        The fields by name, as text or whole numbers. A layer may be a `Spec`.
    set_name
        The set that it belongs to.
    load
        What is done about a layer that is not known yet; see `bnstats.specs.spec.parse`.
    quantity
        The quantity of a row that names none.

    Raises
    ------
    FieldError
        A field is missing, unknown or wrong.
    """
    if not isinstance(row, Mapping):
        raise FieldError(f"not a table of {', '.join(FIELDS)}")
    if None in row:  # csv puts fields there that the header has no name for
        raise FieldError(
            "more fields than the header names", hint='quote a layer that holds commas: "…"'
        )
    for key in row:
        if key not in FIELDS:
            shown = printable(str(key), 40)
            hint = hint_for(shown, FIELDS, f"fields: {', '.join(FIELDS)}")
            raise _at(str(key), f"unknown field '{shown}'", hint=hint)
    if quantity is not None:
        row = {"quantity": quantity, **row}
    for key in ("layer", "quantity", "value"):
        if key not in row:
            raise FieldError(f"field '{key}' is missing")
    fields = {k: text_of(v, k) for k, v in row.items() if k not in ("layer", "copies")}
    spec = row["layer"] if isinstance(row["layer"], Spec) else _spec(row["layer"], load)
    context = f'   (layer = "{spec.text}")'
    law = _law(fields, context)
    inverse = _inverse(fields, spec, law, load, context)
    quantity = _quantity(fields["quantity"], inverse, context)
    try:
        printed = parse_value(fields["value"])
    except ValueError as error:
        raise _at("value", f"{error}{context}") from None
    if "tolerance" in fields:
        tolerance = _tolerance(fields["tolerance"], context)
        printed = replace(printed, half_width=tolerance, tolerance=tolerance)
    kind = fields.get("kind", "moment")
    if kind not in _KINDS:
        hint = hint_for(kind, _KINDS, f"kinds: {', '.join(_KINDS)}")
        raise _at("kind", f"unknown kind '{printable(kind, 40)}'{context}", hint=hint)
    return Claim(
        set=set_name,
        spec=spec,
        quantity=quantity,
        printed=printed,
        samples=_samples(fields.get("samples"), context),
        source=printable(fields.get("source", "")),
        remark=printable(fields.get("remark", "")),
        copies=_copies(row.get("copies", ())),
        law=law,
        kind=_KINDS[kind],
        inverse=inverse,
    )


def _at(key: str, message: str, hint: str | None = None, where: str | None = None) -> FieldError:
    error = FieldError(message, hint=hint, where=where)
    error.key = key
    return error


def text_of(value: Any, key: str) -> str:
    """Return a field as text, which a whole number may be."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _at(key, f"field '{key}' is not text")
    try:
        return str(value)
    except ValueError:  # an int of thousands of digits
        raise _at(key, f"field '{key}' is too long") from None


def _copies(value: Any) -> tuple[str, ...]:
    copies = value if isinstance(value, list | tuple) else [value]
    if len(copies) > _MOST_COPIES:
        raise _at("copies", f"more than {_MOST_COPIES} copies")
    return tuple(printable(text_of(copy, "copies")) for copy in copies)


def _spec(layer: Any, load: Load) -> Spec:
    text = text_of(layer, "layer")
    try:
        return parse(text, load)
    except BnstatsError as error:
        raise _at("layer", error.message, error.hint, error.where) from None


def _quantity(text: str, inverse: Inverse | None, context: str) -> str:
    if inverse is not None and text == inverse.over.name:
        return text
    try:
        return checked_quantity(text)
    except BnstatsError as error:
        hint = _INVERSE if text in Law._fields else error.hint
        raise _at("quantity", f"{error.message}{context}", hint) from None


def _inverse(
    fields: Mapping[str, str], spec: Spec, law: Law, load: Load, context: str
) -> Inverse | None:
    """Return the inverse problem of a row, if it has one."""
    over, find = fields.get("over"), fields.get("find")
    if over is None and find is None:
        return None
    if over is None or find is None:
        given, missing = ("find", "over") if over is None else ("over", "find")
        raise _at(given, f"field '{missing}' is missing beside '{given}'{context}", hint=_INVERSE)
    from bnstats.claims.wanted import Inverse, wanted_of  # few claims solve for something
    from bnstats.specs.over import over_of

    key = "over"
    try:
        values = over_of(over, [spec.text], load)
        if len(values.texts) > _MOST_VALUES:
            raise BnstatsError(f"over {values.name}: {len(values.texts):,} values", hint=_INVERSE)
        for text in (values.texts[0], values.texts[-1]):
            checked_law(values.at(spec.text, text, law, load)[1])
        key = "find"
        wanted = wanted_of(find, values.name)
    except BnstatsError as error:
        raise _at(key, f"{error.message}{context}", error.hint, error.where) from None
    return Inverse(over, values, wanted)


def _law(fields: Mapping[str, str], context: str) -> Law:
    law = Law()
    for key in Law._fields:
        if key in fields:
            try:
                law = checked_law(law._replace(**{key: parse_value(fields[key]).value}))
            except (BnstatsError, ValueError) as error:
                raise _at(key, f"{key}: {error}{context}") from None
    return law


def _tolerance(text: str, context: str) -> float:
    try:
        tolerance = parse_value(text).value
    except ValueError:
        tolerance = 0.0
    if tolerance <= 0:
        what = f"tolerance '{printable(text, 40)}' is not a positive number{context}"
        raise _at("tolerance", what)
    return tolerance


def _samples(text: str | None, context: str) -> int | None:
    if text is None:
        return None
    try:
        samples = int(float(text))
    except (ValueError, OverflowError):
        samples = 0
    if not 1 <= samples <= _MAX_SAMPLES:
        what = "a positive number" if samples < 1 else "at most 1e18"
        raise _at("samples", f"samples '{printable(text, 40)}' is not {what}{context}")
    return samples

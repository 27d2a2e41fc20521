"""JSON: one valid document, floats that round-trip, no NaN or Infinity."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

# Characters that reverse the direction of writing and their like, halves of characters, and what
# begins a command in a workflow's log; all of them stand within texts.
_ODD = re.compile(
    "[\x7f-\xa0\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]|#(?=#\\[)"
)


def render(document: Mapping[str, Any]) -> str:
    """Return the document as JSON text, which spells odd characters as escapes."""
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    return _ODD.sub(lambda found: f"\\u{ord(found[0]):04x}", text)

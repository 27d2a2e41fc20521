"""Text of the study of training, from the record in training.json alone."""

from typing import Any


def markdown(record: dict[str, Any]) -> str:
    return "\n"

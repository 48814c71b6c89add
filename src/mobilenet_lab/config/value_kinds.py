"""Kinds of values that a configuration may have."""

import numbers
from collections.abc import Mapping
from typing import Any

import yaml  # type: ignore[import-untyped]

SMALLEST, LARGEST = 2.0**-126, 2.0**128 - 2.0**104  # of the normal numbers of single precision


def is_integer(value: Any) -> bool:
    """Return True for an integer of 64 bits other than a bool."""
    is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    return is_whole and -(1 << 63) <= value < 1 << 63


def is_number(value: Any) -> bool:
    """Return True for a number of single precision other than a bool: networks turn smaller ones into 0."""
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return is_real and (value == 0 or SMALLEST <= abs(value) <= LARGEST)


def mapping_of(value: Any) -> Mapping[Any, Any] | None:
    """Return a mapping, or the mapping in a text such as "{cat: 2}"; None for any other value.

    Hydra's command line needs a quoted text for names with letters other than A to Z.
    """
    if isinstance(value, str):
        try:
            value = yaml.safe_load(value)
        except yaml.YAMLError:
            return None
    return value if isinstance(value, Mapping) else None

"""Arrays of any library, a buffer or a parameter: read, checked and scaled without asking whose they are."""

from typing import Any

import numpy as np

from ravine.errors import ConvertError, reason, shown

LOST = 4  # of the last place: more is lost than rounding
KINDS = "fc"  # real and complex; jax's bfloat16 says V and is told by its name


def array(value: Any, name: str) -> Any:
    """Return what holds the numbers of a variable: a tensor and a jax array as they are, else a NumPy array."""
    if hasattr(value, "detach") or isinstance(value, np.ndarray):
        found = value
    elif hasattr(value, "asnumpy"):  # MXNet
        found = value.asnumpy()
    elif callable(getattr(value, "numpy", None)):  # TensorFlow, Keras
        found = value.numpy()
    elif hasattr(value, "dtype") and hasattr(value, "shape"):
        found = value
    else:
        try:
            found = np.asarray(value)
        except (TypeError, ValueError) as error:
            raise ConvertError(f"{shown(name)} is no array: {reason(error)}; give numbers") from None
    if not hasattr(found, "detach") and found.dtype.kind not in KINDS and "float" not in str(found.dtype):
        raise ConvertError(f"{shown(name)} holds {found.dtype}, and a velocity is a float or complex array")
    return found


def shape(value: Any) -> tuple[int, ...]:
    """Return an array's shape as a tuple of numbers."""
    return tuple(int(n) for n in value.shape)


def finite(value: Any) -> bool:
    """Say whether every number of an array is finite."""
    values = _values(value)
    return bool(values.isfinite().all()) if hasattr(values, "isfinite") else bool(np.isfinite(np.asarray(values)).all())


def empty(value: Any) -> bool:
    """Say whether an array holds nothing but zeros."""
    return not bool((_values(value) != 0).any())


def scaled(value: Any, scale: float, name: str) -> Any:
    """Return scale·value in the array's own number format.

    Raises:
        ConvertError: that format is too narrow for it, so that more than rounding would be lost.
    """
    if scale == 1:
        return copied(value)
    with np.errstate(all="ignore"):  # what overflows is refused in a sentence
        made = _whole(value * scale)
    if not _faithful(_values(value), _values(made), scale):
        raise ConvertError(
            f"the buffer of {shown(name)} times {scale:.6g} does not fit {made.dtype}; convert it to float32 first"
        )
    return made


def added(value: Any, change: Any, factor: float) -> Any:
    """Return value + factor·change in the value's own number format."""
    made = _whole(value + change * factor)
    if made.dtype == value.dtype:
        return made
    return made.to(value.dtype) if hasattr(made, "detach") else made.astype(value.dtype)


def copied(value: Any) -> Any:
    """Return an array that shares no memory with this one."""
    if hasattr(value, "detach"):
        return value.detach().clone()
    return value.copy()


def _whole(value: Any) -> Any:
    """Return an array where NumPy made a number of one without axes."""
    return np.asarray(value) if isinstance(value, np.generic) else value


def zeros_like(value: Any) -> Any:
    """Return an array of zeros of this one's kind."""
    return _whole(copied(value) * 0)


def _values(value: Any) -> Any:
    """Return the numbers that are held here, of a sparse or a distributed tensor too."""
    if hasattr(value, "detach"):
        value = value.detach()
        value = value.to_local() if hasattr(value, "to_local") else value
        return value.coalesce().values() if value.is_sparse else value
    return value


def _faithful(before: Any, after: Any, scale: float) -> bool:
    """Say whether after is scale·before but for rounding, measured by the largest entry."""
    one, other = (_wide(x) for x in (before, after))
    with np.errstate(all="ignore"):
        wanted = one * scale
        size = float(np.abs(wanted).max(initial=0))
        wrong = float(np.abs(other - wanted).max(initial=0))
    return wrong <= LOST * _step(after) * size


def _wide(value: Any) -> Any:
    """Return the numbers in double precision."""
    if hasattr(value, "detach"):
        import torch

        return value.to(torch.complex128 if value.is_complex() else torch.float64).cpu().numpy()
    return np.asarray(value).astype(np.complex128 if value.dtype.kind == "c" else np.float64)


def _step(value: Any) -> float:
    """Return the distance from 1 to the next number of a format."""
    if hasattr(value, "detach"):
        import torch

        return float(torch.finfo(value.dtype).eps)
    try:
        return float(np.finfo(value.dtype).eps)
    except ValueError:  # jax's bfloat16
        return 2.0**-7

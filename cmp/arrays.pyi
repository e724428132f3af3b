from collections.abc import Iterable
from typing import Any, SupportsIndex

import numpy as np  # type: ignore[import-not-found,unused-ignore]
from numpy.typing import DTypeLike  # type: ignore[import-not-found,unused-ignore]

__all__ = ["shared_array"]

def shared_array(
    shape: SupportsIndex | Iterable[SupportsIndex], dtype: DTypeLike = ..., fill: Any = None
) -> np.ndarray[Any, Any]: ...

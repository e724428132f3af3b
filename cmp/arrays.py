"""NumPy arrays in the memory of the family: what one process writes, all see.

An array of shared_array(), and whatever is a view of one, travels by reference wherever cmp pickles; all other arrays
travel as ever.
"""
import copyreg
import math
import operator
from multiprocessing.reduction import ForkingPickler

from ._cmp import Block

__all__ = ["shared_array"]


def shared_array(shape, dtype=float, fill=None):
    """Return an ndarray in shared memory, of zeroes or filled with `fill`.

    It is an ordinary array but for one thing: as an argument of a process, or in a queue, pipe or pool, it and its
    views go by reference, not as a copy. Its memory goes when the last view in any process is gone.
    """
    np = _numpy()
    shape, dtype = _dimensions(shape), np.dtype(dtype)
    if dtype.hasobject:
        raise TypeError(f"{dtype!r} holds references to Python objects, which mean nothing in another process")
    if dtype.itemsize == 0:
        dtype = np.empty(0, dtype).dtype  # 'S' is 'S1', as in np.zeros
    shape, dtype = shape + dtype.shape, dtype.base
    block = Block(max(math.prod(shape) * dtype.itemsize, 1), zero=fill is None)
    array = np.ndarray(shape, dtype, block)
    if fill is not None:
        array[...] = fill
    return array


def _dimensions(shape):
    try:
        shape = tuple(map(operator.index, shape)) if hasattr(shape, "__iter__") else (operator.index(shape),)
    except TypeError:
        raise TypeError(f"shape must be an integer or some integers, not {shape!r}") from None
    if any(length < 0 for length in shape):
        raise ValueError(f"no dimension may be negative, as in {shape!r}")
    return shape


_np = None  # the module, once arrays of this process may be in shared memory; and what pickled arrays before
_reduce_before = None


def _numpy():
    """NumPy, with ndarray registered in ForkingPickler."""
    global _np, _reduce_before
    if _np is None:
        try:
            import numpy
        except ImportError as error:
            raise ImportError("shared_array() needs NumPy, which is not installed: pip install numpy") from error
        before = ForkingPickler._extra_reducers.get(numpy.ndarray) or copyreg.dispatch_table.get(numpy.ndarray)
        if before is not _reduce:  # another thread may be as far as this one
            _reduce_before = before or _reduce_as_ever
        ForkingPickler.register(numpy.ndarray, _reduce)
        _np = numpy
    return _np


def _block_of(array):
    """The block that the array is a view of, None if there is none."""
    while array is not None and not isinstance(array, Block):
        # Not of arrays only: as_strided() has a helper between two, and a memoryview may be between them.
        array = _owner(array) if isinstance(array, memoryview) else getattr(array, "base", None)
    return array


def _owner(view):
    try:
        return view.obj
    except ValueError:  # released, though ndarray(buffer=) goes on with its memory
        return None


def _address(array):
    return array.__array_interface__["data"][0]


def _reduce(array):
    block = _block_of(array)
    if block is None:
        return _reduce_before(array)
    offset = _address(array) - _address(_np.ndarray(1, "B", block))
    if not 0 <= offset <= block.nbytes:
        return _reduce_before(array)  # it has to do with the block, but does not lie in it
    return _rebuild, (block, offset, array.shape, array.strides, array.dtype, array.flags.writeable)


def _rebuild(block, offset, shape, strides, dtype, writeable):
    array = _numpy().ndarray(shape, dtype, block, offset, strides)
    if not writeable:
        array.flags.writeable = False
    return array


class _AsEver:
    """Pickles to the array as it does by itself, which depends on the protocol, and a reducer is not told that."""

    def __init__(self, array):
        self.array = array

    def __reduce_ex__(self, protocol):
        return self.array.__reduce_ex__(protocol)


def _reduce_as_ever(array):
    if array.dtype.hasobject:
        return array.__reduce__()  # it may contain itself
    return operator.getitem, ((_AsEver(array),), 0)  # any Python can load that

"""ctypes objects in shared memory."""
import ctypes
import operator
import weakref
from multiprocessing import sharedctypes as _std
from multiprocessing.sharedctypes import make_property, prop_cache, template, typecode_to_type  # noqa: F401

from . import _cmp, context, heap
from ._std import fallback

__all__ = ["Array", "RawArray", "RawValue", "Value", "copy", "synchronized"]
__getattr__ = fallback(_std)

class_cache = weakref.WeakKeyDictionary()


def RawValue(typecode_or_type, *args):
    """Return a ctypes object in shared memory."""
    obj = _new_value(_to_type(typecode_or_type))
    obj.__init__(*args)
    return obj


def RawArray(typecode_or_type, size_or_initializer):
    """Return a ctypes array in shared memory, of so many zeroes or of these items."""
    type_ = _to_type(typecode_or_type)
    if isinstance(size_or_initializer, int):
        return _new_value(type_ * size_or_initializer)
    array = _new_value(type_ * len(size_or_initializer))
    array.__init__(*size_or_initializer)
    return array


def Value(typecode_or_type, *args, lock=True, ctx=None):
    """Return a ctypes object in shared memory; lock=False: bare, True: with an RLock, or with the lock given."""
    return _guarded(RawValue(typecode_or_type, *args), lock, ctx)


def Array(typecode_or_type, size_or_initializer, *, lock=True, ctx=None):
    """Return a ctypes array in shared memory; lock= as for Value."""
    return _guarded(RawArray(typecode_or_type, size_or_initializer), lock, ctx)


def copy(obj):
    """Return a copy of a ctypes object, in shared memory."""
    new = _new_value(type(obj))
    ctypes.memmove(ctypes.byref(new), ctypes.byref(obj), ctypes.sizeof(obj))
    return new


def synchronized(obj, lock=None, ctx=None):
    """Return a wrapper that guards a ctypes object with a lock, an RLock if there is none."""
    assert not isinstance(obj, _std.SynchronizedBase), "object already synchronized"
    return _wrapper_class(obj)(obj, lock, ctx)


def _to_type(typecode_or_type):
    return typecode_to_type.get(typecode_or_type, typecode_or_type)


def _new_value(type_):
    try:
        size = ctypes.sizeof(type_)
    except TypeError as error:
        raise TypeError("bad typecode (must be a ctypes type or one of "
                        "c, b, B, u, h, H, i, I, l, L, q, Q, f or d)") from error  # as CPython 3.15 says it
    return rebuild_ctype(type_, heap.BufferWrapper(size), None)


def _guarded(obj, lock, ctx):
    if lock is False:
        return obj
    if lock in (True, None):
        lock = None
    elif not hasattr(lock, "acquire"):
        raise AttributeError(f"{lock!r} has no method 'acquire'")
    return synchronized(obj, lock, ctx)


def _wrapper_class(obj):
    if isinstance(obj, ctypes._SimpleCData):
        return Synchronized
    if isinstance(obj, ctypes.Array):
        return SynchronizedString if obj._type_ is ctypes.c_char else SynchronizedArray
    type_ = type(obj)
    if type_ not in class_cache:
        fields = {name: make_property(name) for name, *_ in type_._fields_}
        class_cache[type_] = type(f"Synchronized{type_.__name__}", (SynchronizedBase,), fields)
    return class_cache[type_]


# Pickles

class _Product:
    """Pickles to type * length, which has no name of its own by which another process could find it."""

    def __init__(self, type_):
        self.type = type_

    def __reduce__(self):
        return operator.mul, (_picklable(self.type._type_), self.type._length_)


def _picklable(type_):
    if issubclass(type_, ctypes.Array) and type_._type_ * type_._length_ is type_:
        return _Product(type_)
    return type_


def reduce_ctype(obj):
    """An object in shared memory travels by reference; others as ctypes has it."""
    wrapper = getattr(obj, "_wrapper", None)
    if not isinstance(wrapper, heap.BufferWrapper):
        return obj.__reduce__() if wrapper is None else _std.reduce_ctype(obj)
    if isinstance(obj, ctypes.Array):
        return rebuild_ctype, (_picklable(obj._type_), wrapper, obj._length_)
    return rebuild_ctype, (type(obj), wrapper, None)


def rebuild_ctype(type_, wrapper, length):
    """The object of that type, or array of `length` such, in the memory of the wrapper."""
    if length is not None:
        type_ = type_ * length
    _std._ForkingPickler.register(type_, reduce_ctype)
    obj = type_.from_buffer(wrapper.create_memoryview())
    obj._wrapper = wrapper
    return obj


def _rebuild_synchronized(type_, wrapper, length, lock):
    return synchronized(rebuild_ctype(type_, wrapper, length), lock)


# Wrappers

_CODES = {type_: type_._type_ for type_ in typecode_to_type.values() if type_ is not ctypes.c_wchar}


def _code(obj):
    """The letter of the items that native code may read and write; "" if there are none, or resize() may move them."""
    if getattr(obj, "_b_needsfree_", True):
        return ""
    return _CODES.get(obj._type_ if isinstance(obj, ctypes.Array) else type(obj), "")


@_cmp.own_methods
class SynchronizedBase(_cmp.Guarded, _std.SynchronizedBase):
    """A ctypes object and its lock; `with` takes the lock."""

    def __init__(self, obj, lock=None, ctx=None):
        super().__init__(obj, lock or (ctx or context._default_context.get_context()).RLock(), _code(obj))

    def __reduce__(self):
        obj, lock = self.get_obj(), self.get_lock()
        rebuild, args = reduce_ctype(obj)[:2]
        if rebuild is rebuild_ctype:  # in any pickle, whoever has registered the type with ForkingPickler
            return _rebuild_synchronized, (*args, lock)
        return synchronized, (obj, lock)


@_cmp.own_methods
class Synchronized(_cmp.GuardedValue, _std.Synchronized, SynchronizedBase):
    """A number or character: `value`, read and written under the lock."""


@_cmp.own_methods
class SynchronizedArray(_cmp.GuardedArray, _std.SynchronizedArray, SynchronizedBase):
    """An array, whose items and slices are read and written under the lock."""


@_cmp.own_methods
class SynchronizedString(_cmp.GuardedString, _std.SynchronizedString, SynchronizedArray):
    """An array of characters: `value` ends at the first zero byte, `raw` is all of it."""

"""Shared memory with a name.

A segment is the same as the standard library's: a file in /dev/shm, which programs of any kind may attach to by name.
Who creates it has the standard library's resource tracker unlink it when the family of processes has ended; who
attaches to it leaves no trace. It stays mapped as long as anything reaches it: `close()` takes nothing from under a
memoryview or an array.
"""
import contextlib
import errno
import functools
import itertools
import operator
import os
import struct
from multiprocessing import shared_memory as _std

from . import _cmp, resource_tracker
from ._std import fallback

__all__ = ["ShareableList", "SharedMemory"]
__getattr__ = fallback(_std)

_USE_POSIX = True
_SHM_NAME_PREFIX = "/psm_"
_O_CREX = os.O_CREAT | os.O_EXCL


def _make_filename():
    """A name that nobody is likely to have."""
    return _SHM_NAME_PREFIX + os.urandom(8).hex()


# The codes of ShareableList for what is stored as bytes.
_STR, _BYTES = 1, 2


def _text_format(data, room):
    """The struct format of a str or bytes item in that room."""
    format = b"%ds" % room
    if data.endswith(b"\0"):
        format = b"%dsx" % len(data)
        if len(format) > _LONGEST and len(data) < room:
            format = b"%ds" % len(data)
    if len(format) > _LONGEST:
        raise ValueError(f"a str or bytes item of {len(data)} bytes is too long for a ShareableList")
    return format


def _checked_size(size, create):
    if create or not isinstance(size, float):  # attaching ignores it: the segment has its own
        size = operator.index(size)
    if not size >= 0:
        raise ValueError("'size' must be a positive integer")
    if create and size == 0:
        raise ValueError("'size' must be a positive number different from zero")
    return size


def _unlink(name):
    """Take the name away, and have the tracker forget it."""
    if not resource_tracker.is_running():
        _cmp.unlink_segment(name)
    elif name.startswith(_SHM_NAME_PREFIX):  # nobody makes one anew that was made up
        _unlink_and_forget(name)
    else:
        with resource_tracker.naming():
            _unlink_and_forget(name)


def _unlink_and_forget(name):
    try:
        _cmp.unlink_segment(name)
    except FileNotFoundError:
        resource_tracker.forget(name)
        raise
    resource_tracker.forget(name)


class SharedMemory(_std.SharedMemory):
    """A segment of shared memory, created, or attached to by its name.

    `buf` is a memoryview of it. `close()` ends the use of this object; views taken before stay valid. `unlink()`,
    called once, takes the name away; the memory goes with the last process that uses it. With `track=False` the
    segment stays when the processes that know it have ended. `reserve=True` allocates all of it at once: else it
    gets memory as it is written to, and a program that finds none left then is ended by SIGBUS.
    """

    # Names that other libraries know; so are those of the attributes.
    _name = None
    _mmap = None
    _buf = None
    _flags = os.O_RDWR
    _mode = 0o600
    _prepend_leading_slash = True
    _track = True
    _unlinked = None

    # wraps: introspection shows this Python's signature, as everywhere in the package.
    @functools.wraps(_std.SharedMemory.__init__)
    def __init__(self, name=None, create=False, size=0, *, track=True, reserve=False):
        size = _checked_size(size, create)
        if create:
            self._flags = _O_CREX | os.O_RDWR
        self._track = track
        if name is None:
            if not self._flags & os.O_EXCL:
                raise ValueError("'name' can only be None if create=True")
            self._create_unnamed(size, reserve)
        else:
            name = "/" + name if self._prepend_leading_slash else name
            if not create:
                self._attach(name, reserve)
            elif track:
                self._create_named(name, size, reserve)
            else:
                self._open(name, size, reserve)

    def _open(self, name, size, reserve):
        self._mmap = segment = _cmp.Segment(name, self._flags, self._mode, size, reserve)
        self._buf = memoryview(segment)
        self._size = len(segment)
        self._name = name

    def _attach(self, name, reserve):
        try:
            self._open(name, None, reserve)
        except ValueError:  # it is empty: perhaps another process of the family is just making it
            if not resource_tracker.is_running():
                raise
            with resource_tracker.naming():
                self._open(name, None, reserve)
        resource_tracker.attached(name)

    def _create_unnamed(self, size, reserve):
        while True:
            try:
                return self._create(_make_filename(), size, reserve)
            except FileExistsError:
                pass

    def _create_named(self, name, size, reserve):
        # Others may have that name: then it must not be registered here even for a moment, in which this process might
        # be killed.
        with resource_tracker.naming():
            if _cmp.segment_exists(name):  # not tried: if it goes just now, what is made would not be registered
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
            self._create(name, size, reserve)

    def _create(self, name, size, reserve):
        # Registered first: killed in between, it leaves a name that nobody has, which harms nothing.
        known = name in resource_tracker._registered
        if self._track:
            resource_tracker.register(name, "shared_memory")
        try:
            self._open(name, size, reserve)
        except FileExistsError:  # somebody was faster, and no process of this family
            if self._track and not known:
                resource_tracker.forget(name)
            raise
        except BaseException:  # also what a signal handler raises, just after it was created
            self._remove(name)
            raise

    def _remove(self, name):
        with contextlib.suppress(OSError):
            _cmp.unlink_segment(name)
        if self._track:
            resource_tracker.forget(name)

    def __del__(self):
        self.close()

    def __reduce__(self):
        return self.__class__, (self.name, False, self.size)

    def __repr__(self):
        return f"{self.__class__.__name__}({self.name!r}, size={self.size})"

    @property
    def buf(self):
        """A memoryview of the shared memory."""
        if self._buf is None:
            raise ValueError(f"the shared memory {self._name} is closed here; views taken before stay valid")
        return self._buf

    @property
    def name(self):
        """The name by which others attach."""
        return self._name.removeprefix("/") if self._name and self._prepend_leading_slash else self._name

    @property
    def size(self):
        """Size in bytes."""
        return self._size

    @property
    def _fd(self):
        return -1 if self._mmap is None else self._mmap.fd

    @_fd.setter
    def _fd(self, fd):
        if self._mmap is not None:
            self._mmap.fd = fd

    def close(self):
        """End the use of this object; the memory stays as long as views of it do, and the segment until unlink()."""
        self._buf = None
        segment, self._mmap = self._mmap, None
        if segment is not None:
            segment.close()

    def unlink(self):
        """Take the name away, once; the memory goes with the last process that uses it."""
        name = self._name
        if not name or name == self._unlinked:
            return
        try:
            _unlink(name)
        except FileNotFoundError:
            self._unlinked = name
            raise
        self._unlinked = name


_ITEM = 8  # bytes; the alignment of items, and the length of what is said of each
_LONGEST = 8  # characters of a format


class ShareableList(_std.ShareableList):
    """A list of int, float, bool, str, bytes and None in shared memory, whose length and whose items' room are fixed.

    Others attach to it by the name of its `shm`. In memory it is what the standard library's is: the number of items,
    where each begins and the last ends, the items, their struct formats, and a code for each. That loses trailing zero
    bytes of a str or bytes; one that has them gets a format here that tells its length, "5sx" for one of 5 bytes,
    which the standard library reads and overwrites as its own.
    """

    def __init__(self, sequence=None, *, name=None):
        if name is None or sequence is not None:
            self._create(list(sequence or ()), name)
        else:
            self.shm = SharedMemory(name)
            length = len(self)
            self._lay_out(list(struct.unpack_from(f"{length + 1}q", self.shm.buf, _ITEM)))

    def _lay_out(self, offsets):
        self._list_len, self._allocated_offsets = len(offsets) - 1, offsets
        self._data_at = self._offset_data_start
        self._formats_at = self._offset_packing_formats
        self._codes_at = self._offset_back_transform_codes

    def _create(self, items, name):
        packed = [self._pack(item) for item in items]
        self._lay_out(list(itertools.accumulate((len(data) for _, _, data in packed), initial=0)))
        content = b"".join((
            struct.pack(f"{len(items) + 2}q", len(items), *self._allocated_offsets),
            *(data for _, _, data in packed),
            *(format.ljust(_ITEM, b"\0") for format, _, _ in packed),
            bytes(code for _, code, _ in packed)))
        self.shm = SharedMemory(name, create=True, size=len(content))
        self.shm.buf[:len(content)] = content

    def _pack(self, value, room=None):
        """What is stored of a value: format, code and bytes; these fill its room, as far as a str or bytes has it."""
        code = self._extract_recreation_code(value)
        if code not in (_STR, _BYTES):
            format = self._types_mapping[type(value)]
            return format.encode(), code, struct.pack(format, value)
        data = value.encode() if code == _STR else bytes(value)
        if room is None:
            room = _ITEM * (len(value) // _ITEM + 1)  # the standard library's, which counts characters
            if len(data) > room:
                room = _ITEM * (len(data) // _ITEM + 1)
        elif len(data) > room:
            raise ValueError("bytes/str item exceeds available storage")
        return _text_format(data, room), code, data.ljust(room, b"\0")

    def _place(self, position, error):
        """Which item it is, not negative, where it begins, and how much room it has."""
        position = operator.index(position)
        if position < 0:
            position += self._list_len
        if not 0 <= position < self._list_len:
            raise IndexError(error)
        begin = self._allocated_offsets[position]
        return position, self._data_at + begin, self._allocated_offsets[position + 1] - begin

    def __getitem__(self, position):
        position, begin, room = self._place(position, "index out of range")
        buf, format_at = self.shm.buf, self._formats_at + _ITEM * position
        format = bytes(buf[format_at:format_at + _ITEM]).rstrip(b"\0")
        code = buf[self._codes_at + position]
        if code not in (_STR, _BYTES):
            return self._back_transforms_mapping[code](*struct.unpack_from(format, buf, begin))
        length = int(format[:format.index(b"s")])
        data = bytes(buf[begin:begin + length])
        if format.endswith(b"s") and length == room:
            data = data.rstrip(b"\0")
        return data.decode() if code == _STR else data

    def __setitem__(self, position, value):
        position, begin, room = self._place(position, "assignment index out of range")
        # Packed before anything is written: a value that cannot be packed changes nothing.
        format, code, data = self._pack(value, room)
        buf, format_at = self.shm.buf, self._formats_at + _ITEM * position
        buf[begin:begin + len(data)] = data
        buf[format_at:format_at + _ITEM] = format.ljust(_ITEM, b"\0")
        buf[self._codes_at + position] = code

    def _get_packing_format(self, position):
        position, _, room = self._place(position, "Requested position out of range.")
        format = super()._get_packing_format(position)
        return f"{room}s" if "s" in format else format

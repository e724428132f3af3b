"""`import multiprocessing` means cmp, for programs and libraries; the standard library keeps its own.

Who imports decides, by the file in which the import statement stands. So the genuine package stays in
sys.modules under its name: pickles made by the standard library load, cmp itself can stand on it, and
nothing that the standard library does with it changes.
"""
import builtins
import importlib
import os
import sys
import threading

from . import _cmp

__all__ = ["install", "installed"]

NAME = "multiprocessing"

_STDLIB = os.path.dirname(os.__file__) + os.sep
_OWN = tuple({os.path.dirname(path) + os.sep for path in (__file__, os.path.abspath(__file__))})
# Below the standard library's folder, yet programs: packages that were installed, CPython's own tests.
_PROGRAMS = tuple(_STDLIB + folder + os.sep for folder in ("site-packages", "dist-packages", "test"))
# Where others' imports pass through: whoever called these is the importer.
_MESSENGERS = (*(_STDLIB + name for name in ("importlib" + os.sep, "pkgutil.py", "unittest" + os.sep)),
               "<frozen importlib")
# The one part of the standard library whose users mean cmp when they give no context.
_EXECUTOR = os.path.join(_STDLIB, "concurrent", "futures", "process.py")


def _keeps_genuine(filename):
    if filename.startswith((*_OWN, "<frozen ")):
        return True
    return filename.startswith(_STDLIB) and not filename.startswith(_PROGRAMS)


def _importer(depth, module_globals=None):
    """The file whose code asked for the import that runs `depth` frames above."""
    try:
        frame = sys._getframe(depth + 1)
    except ValueError:
        return ""  # called from C with no Python code around it
    if module_globals is not None and module_globals is not frame.f_globals:
        return module_globals.get("__file__") or ""  # a wrapper of __import__ passes on somebody's import
    while frame is not None and frame.f_code.co_filename.startswith(_MESSENGERS):
        frame = frame.f_back
    return frame.f_code.co_filename if frame is not None else ""


def _new_name(name, filename, by_statement):
    if not _keeps_genuine(filename):
        return "cmp" + name[len(NAME):]
    if filename == _EXECUTOR and name == NAME and by_statement:
        _complete_for_executor()
        return "cmp"
    return name


def _translate_call(name, package=None):
    """As _translate, for importlib.import_module."""
    return _new_name(name, _importer(1), by_statement=False)


def _translate(name, globals=None, locals=None, fromlist=(), level=0):
    """The name that `__import__` is to use in place of `name`, one of multiprocessing's."""
    if level != 0:
        return name
    return _new_name(name, _importer(1, globals), by_statement=not fromlist)


def _complete_for_executor():
    importlib.import_module("cmp.connection")
    importlib.import_module("cmp.util")


_installed = False
_installing = threading.Lock()


def installed():
    """Whether `import multiprocessing` means cmp in this process."""
    return _installed


def install():
    """Make `import multiprocessing` mean cmp from now on, in this process and in those that cmp starts.

    It works for import statements and importlib.import_module in programs and installed libraries. Modules
    that have imported multiprocessing before keep what they have. The standard library keeps its own, except
    that concurrent.futures.ProcessPoolExecutor without mp_context stands on cmp's context. A second call
    does nothing.
    """
    global _installed
    with _installing:
        if _installed:
            return
        _installed = True
    builtins.__import__ = _cmp.Redirect(builtins.__import__, NAME, _translate)
    importlib.import_module = _cmp.Redirect(importlib.import_module, NAME, _translate_call)
    executor = sys.modules.get("concurrent.futures.process")
    if executor is not None:
        _complete_for_executor()
        executor.mp = sys.modules["cmp"]

"""cmp.install(): from then on `import multiprocessing` means cmp in this process and its children."""
import subprocess
import sys

import pytest


def run(program, tmp_path):
    (tmp_path / "program.py").write_text(program)
    ran = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, text=True, capture_output=True, timeout=50)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def test_before_and_after(tmp_path):
    assert run("""
import cmp
import multiprocessing as before
cmp.install()
cmp.install()
import multiprocessing as after
print(before.__name__, after.__name__)
""", tmp_path) == ["multiprocessing cmp"]


def test_import_of_cmp_alone_changes_nothing(tmp_path):
    assert run("""
import cmp, builtins, importlib
import multiprocessing, multiprocessing.pool
from concurrent.futures import ProcessPoolExecutor
print(multiprocessing.Process.__module__, multiprocessing.pool.__name__, flush=True)
print(type(ProcessPoolExecutor(1)._mp_context).__module__, flush=True)
print(type(builtins.__import__).__name__, flush=True)
if __name__ == "__main__":
    p = multiprocessing.get_context("spawn").Process(target=print, args=("a genuine child",))
    p.start(); p.join()
    print(type(p).__mro__[1].__module__, p.exitcode)
""", tmp_path) == [*["multiprocessing.context multiprocessing.pool", "multiprocessing.context",
                     "builtin_function_or_method"] * 2, "a genuine child", "multiprocessing.process 0"]


@pytest.mark.parametrize("first", [True, False])
def test_executor_without_context(tmp_path, first):
    """Imported before or after: without mp_context it stands on cmp; its queue stays the genuine class."""
    lines = ["import concurrent.futures.process as process", "import cmp; cmp.install()"]
    assert run("\n".join(lines if first else lines[::-1]) + """
from concurrent.futures import ProcessPoolExecutor
import multiprocessing, sys
if __name__ == "__main__":
    with ProcessPoolExecutor(2) as executor:
        print(type(executor._mp_context).__module__, list(executor.map(abs, [-1, 2])))
    print(process.Queue.__module__, sys.modules["multiprocessing"].__name__)
    multiprocessing.set_start_method("spawn", force=True)
    print(ProcessPoolExecutor(1)._mp_context.get_start_method())
""", tmp_path) == ["cmp.context [1, 2]", "multiprocessing.queues multiprocessing", "spawn"]


def test_standard_library_keeps_its_own(tmp_path):
    assert run("""
import cmp; cmp.install()
import multiprocessing.managers, multiprocessing.connection, multiprocessing.synchronize
import sys, pickle
genuine = sys.modules["multiprocessing.managers"]
print(genuine.__name__, genuine.SyncManager is multiprocessing.managers.SyncManager)
print(pickle.loads(pickle.dumps(genuine.Token("a", "b", "c"))))
import logging
print(logging.LogRecord("n", 1, "p", 1, "m", (), None).processName)
""", tmp_path) == ["multiprocessing.managers False", "Token(typeid='a', address='b', id='c')", "MainProcess"]


def test_missing_submodule(tmp_path):
    assert run("""
import cmp; cmp.install()
try:
    import multiprocessing.nothing_of_the_kind
except ModuleNotFoundError as error:
    print(error)
""", tmp_path) == ["No module named 'cmp.nothing_of_the_kind'"]


def test_programs_named_like_the_standard_library(tmp_path):
    """A program's own queue.py or test.py is a program."""
    (tmp_path / "code.py").write_text("import multiprocessing\nname = multiprocessing.__name__\n")
    assert run("""
import cmp; cmp.install()
import code
print(code.name)
""", tmp_path) == ["cmp"]


def test_exec_and_timeit(tmp_path):
    assert run("""
import cmp; cmp.install()
import timeit, code
exec("import multiprocessing; print(multiprocessing.__name__)")
timeit.timeit("print(multiprocessing.__name__)", "import multiprocessing", number=1)
code.InteractiveInterpreter().runsource("import multiprocessing; print(multiprocessing.__name__)")
""", tmp_path) == ["cmp", "cmp", "cmp"]


WRAPPER = """
import builtins
wrapped = builtins.__import__
def wrapper(name, *args, **kwargs):
    return wrapped(name, *args, **kwargs)
builtins.__import__ = wrapper
"""
USES = """
import multiprocessing, concurrent.futures, logging.handlers
from concurrent.futures import ProcessPoolExecutor
if __name__ == "__main__":
    with multiprocessing.Pool(2) as pool:
        print(multiprocessing.__name__, pool.map(abs, [1, -2]))
    with ProcessPoolExecutor(1) as executor:
        print(type(executor._mp_context).__module__, list(executor.map(abs, [-3])))
"""


@pytest.mark.parametrize("program", [
    "import cmp; cmp.install()" + WRAPPER + USES,
    WRAPPER + "import cmp; cmp.install()" + USES,
], ids=["wrapped afterwards", "wrapped before"])
def test_beside_another_wrapper_of_import(tmp_path, program):
    """Lazy-import libraries and tracers put a function of theirs into builtins.__import__."""
    assert run(program, tmp_path) == ["cmp [1, 2]", "cmp.context [3]"]


def test_found_through_a_path_that_is_not_normal(tmp_path):
    import os

    import cmp
    folder = os.path.dirname(os.path.abspath(cmp.__file__))
    assert run(f"""
import sys
sys.path.insert(0, {os.path.join(folder, "..")!r})
import cmp; cmp.install()
{USES}""", tmp_path) == ["cmp [1, 2]", "cmp.context [3]"]


def test_import_without_a_python_frame(tmp_path):
    assert run("""
import cmp; cmp.install()
import atexit
atexit.register(print, "end")
atexit.register(__import__, "multiprocessing.pool")
""", tmp_path) == ["end"]


def test_import_functions_can_be_pickled(tmp_path):
    assert run("""
import cmp; cmp.install()
import importlib, pickle, copy
print(pickle.loads(pickle.dumps(importlib.import_module)) is importlib.import_module,
      pickle.loads(pickle.dumps(__import__)) is __import__, copy.copy(__import__) is __import__)
""", tmp_path) == ["True True True"]

"""python -m cmp runs a program as python does: same output, same status, and multiprocessing means cmp."""
import os
import re
import subprocess
import sys
import zipfile

import pytest

SHOW = """\
import os, sys
print(sys.argv, sys.path[0], __name__, globals().get("__file__"), __spec__ and __spec__.name, __package__)
print(sorted(name for name in globals()), type(__loader__).__name__, __doc__)
print(sys.modules["__main__"].__dict__ is globals())
"""
FAIL = SHOW + """
def inner():
    raise ValueError("as asked")
def outer():
    inner()
outer()
"""


def run(arguments, cwd, stdin=None, options=(), env=None):
    return subprocess.run([sys.executable, *options, *arguments], cwd=cwd, input=stdin, text=True,
                          capture_output=True, timeout=50, env={**os.environ, **(env or {})})


def both(arguments, cwd, **more):
    plain = run(arguments, cwd, **more)
    under_cmp = run(["-m", "cmp", *arguments], cwd, **more)
    return plain, under_cmp


def blank(text):
    return re.sub(r"0x[0-9a-f]+", "ADDRESS", text)


def assert_same(plain, under_cmp):
    assert under_cmp.returncode == plain.returncode, under_cmp.stderr
    assert blank(under_cmp.stdout) == blank(plain.stdout)
    assert blank(under_cmp.stderr) == blank(plain.stderr)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "show.py").write_text('"""About show."""\n' + SHOW)
    (tmp_path / "fail.py").write_text(FAIL)
    (tmp_path / "bad.py").write_text("def broken(:\n")
    (tmp_path / "latin.py").write_bytes("# -*- coding: latin-1 -*-\nprint('\xe9')\n".encode("latin-1"))
    (tmp_path / "imports_fail.py").write_text("import os\nimport fail\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "helper.py").write_text("import show\n")
    (tmp_path / "sub" / "show.py").write_text("print('found beside the script')\n")
    (tmp_path / "link.py").symlink_to(tmp_path / "sub" / "helper.py")
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(FAIL)
    program = tmp_path / "program"
    program.mkdir()
    (program / "__main__.py").write_text(FAIL)
    with zipfile.ZipFile(tmp_path / "program.zip", "w") as archive:
        archive.writestr("__main__.py", FAIL)
    return tmp_path


@pytest.mark.parametrize("arguments", [
    ["show.py"], ["./show.py", "a", "-m", "--help"], ["fail.py"], ["bad.py"], ["latin.py"], ["link.py"],
    ["imports_fail.py"], ["-c", "import no_such_module"],
    ["-c", "import importlib; importlib.import_module('no_such_module')"],
    ["sub/helper.py"], ["missing.py"], ["program"], ["program.zip", "x"], ["-m", "show", "a", "-c"], ["-mshow"],
    ["-m", "fail"], ["-m", "package", "a"], ["-m", "missing"], ["-m", "sub"], ["-c", SHOW, "a", "b"], ["-c" + SHOW],
    ["-c", FAIL], ["-c", "def broken(:"], ["-c", "import sys; sys.exit(3)"], ["-c", "raise SystemExit('a message')"],
    ["-c", "import os; os.kill(os.getpid(), 2)"], ["-c", "import os; os._exit(7)"],
    ["-c", "import os; os.abort()"], ["-c", "import sys; sys.excepthook = lambda *a: print('mine', a[0]); 1/0"],
    ["-c", "import atexit, sys; atexit.register(print, 'bye', sys.argv)"],
    ["-c", "import threading as t; t.Timer(0.1, lambda: print(__name__, 'late')).start()"],
], ids=lambda arguments: " ".join(arguments)[:40])
def test_as_under_plain_python(folder, arguments):
    plain, under_cmp = both(arguments, folder, env={"PYTHONFAULTHANDLER": ""})
    assert_same(plain, under_cmp)


@pytest.mark.parametrize("arguments", [["-"], ["-", "a", "b"], []])
@pytest.mark.parametrize("program", [SHOW, FAIL])
def test_standard_input(folder, arguments, program):
    assert_same(*both(arguments, folder, stdin=program))


@pytest.mark.parametrize("options", [["-P"], ["-I"], ["-O"], ["-W", "error"], ["-X", "dev"], ["-u"], ["-B", "-s"]])
def test_with_options_of_python(folder, options):
    environment = {"PYTHONPATH": ""} if options == ["-I"] else {}
    plain, under_cmp = both(["fail.py", "a"], folder, options=options, env=environment)
    if options == ["-I"] and "No module named cmp" in under_cmp.stderr:
        pytest.skip("cmp is not installed for isolated mode here, only reachable through PYTHONPATH")
    assert_same(plain, under_cmp)


def test_compiled_script(folder):
    import py_compile
    py_compile.compile(str(folder / "show.py"), cfile=str(folder / "show.pyc"))
    assert_same(*both(["show.pyc", "a"], folder))


def test_after_the_exception_only_the_program_is_in_the_traceback(folder):
    ran = run(["-m", "cmp", "fail.py"], folder)
    assert ran.stderr.count("File ") == 3
    assert "_run.py" not in ran.stderr and "runpy" not in ran.stderr


def test_unknown_option_and_missing_argument(folder):
    ran = run(["-m", "cmp", "-q"], folder)
    assert (ran.returncode, ran.stderr.splitlines()[0]) == (
        2, "unknown option -q; options of Python come before: python -q -m cmp ...")
    ran = run(["-m", "cmp", "-m"], folder)
    assert (ran.returncode, ran.stderr.splitlines()[0]) == (2, "argument expected for the -m option")


def test_help_and_version(folder):
    import cmp
    assert run(["-m", "cmp", "--help"], folder).stdout.startswith("usage: python -m cmp ")
    assert run(["-m", "cmp", "-V"], folder).stdout.startswith(f"cmp {cmp.__version__} (Python ")


WHO = """\
import sys
import multiprocessing, multiprocessing.pool, multiprocessing as mp
from multiprocessing import Process, Queue, shared_memory
from multiprocessing.context import BaseContext
from importlib import import_module
import library
def facts():
    from multiprocessing import current_process
    return [multiprocessing.__name__, mp.__name__, Process.__module__, type(Queue()).__module__,
            BaseContext.__module__, multiprocessing.pool.Pool.__module__, import_module("multiprocessing").__name__,
            __import__("multiprocessing").__name__, library.facts(), sys.argv, sys.modules["multiprocessing"].__name__,
            multiprocessing.get_start_method()]
def child(writer, inner=None):
    writer.send(facts())
    if inner:
        p = multiprocessing.get_context(inner).Process(target=child, args=(writer,))
        p.start()
        p.join()
if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    reader, writer = multiprocessing.Pipe(False)
    p = Process(target=child, args=(writer, sys.argv[2]))
    p.start()
    writer.close()
    print(facts() == reader.recv())
    theirs = reader.recv()
    print(facts()[:-1] == theirs[:-1], theirs[-1])
    p.join()
    print(facts(), p.exitcode)
"""
LIBRARY = """\
import logging.handlers, concurrent.futures
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import Lock
def square(x):
    return x * x
def facts():
    with ProcessPoolExecutor(1) as executor:
        return [type(Lock()).__module__, type(executor._mp_context).__module__, list(executor.map(square, [3]))]
"""


METHODS = ["fork", "spawn", "forkserver"]


@pytest.mark.parametrize(("how", "method", "inner"), [
    *[(how, method, inner) for how in ("script", "module") for method in METHODS for inner in METHODS],
    ("directory", "fork", "fork"),  # its __main__ is not imported by other children, under plain python neither
])
def test_multiprocessing_means_cmp_in_every_process(tmp_path, method, inner, how):
    (tmp_path / "library.py").write_text(LIBRARY)
    (tmp_path / ("__main__.py" if how == "directory" else "who.py")).write_text(WHO)
    arguments = {"script": ["who.py"], "module": ["-m", "who"], "directory": ["."]}[how]
    ran = run(["-m", "cmp", *arguments, method, inner], tmp_path)
    assert ran.returncode == 0, ran.stderr
    argv0 = str(tmp_path / "who.py") if how == "module" else arguments[0]
    expected = ["cmp", "cmp", "cmp.context", "cmp.queues", "cmp.context", "cmp.pool", "cmp", "cmp",
                ["cmp.synchronize", "cmp.context", [9]], [argv0, method, inner], "multiprocessing", method]
    assert ran.stdout.splitlines() == ["True", f"True {inner}", f"{expected} 0"]


RETURNS_ITS_OWN = """
import multiprocessing, sys
class Point:
    def __init__(self, x):
        self.x = x
def make(x):
    return Point(x)
if __name__ == "__main__":
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        points = pool.map(make, range(3))
    print([type(point) is Point for point in points], [point.x for point in points])
"""


def test_objects_of_the_programs_classes_come_back(tmp_path, method):
    (tmp_path / "own.py").write_text(RETURNS_ITS_OWN)
    for arguments in (["own.py", method], ["-m", "own", method]):
        assert_same(*both(arguments, tmp_path))


def test_current_folder_removed(folder, tmp_path_factory):
    """As plain python: an absolute script runs."""
    script = tmp_path_factory.mktemp("scripts") / "show.py"
    script.write_text("import sys\nprint(sys.argv, sys.path[0], __file__)\n")
    for arguments in ([str(script), "a"], ["-c", "import sys; print(sys.argv)"]):
        told = []
        for runner in ([], ["-m", "cmp"]):
            program = f"import os, shutil, sys; os.mkdir('x'); os.chdir('x'); os.rmdir('../x'); " \
                      f"os.execv(sys.executable, {[sys.executable, *runner, *arguments]!r})"
            told.append(run(["-c", program], folder))
        assert_same(*told)


def test_interactive_session(tmp_path):
    """On a terminal without a program: a prompt at which multiprocessing means cmp."""
    import pty
    master, terminal = pty.openpty()
    process = subprocess.Popen([sys.executable, "-m", "cmp"], stdin=terminal, stdout=terminal, stderr=terminal,
                               cwd=tmp_path, start_new_session=True)
    os.close(terminal)
    os.write(master, b"import multiprocessing\nmultiprocessing.__name__ * 2\nexit()\n")
    shown = b""
    try:
        while data := os.read(master, 4096):
            shown += data
    except OSError:
        pass
    os.close(master)
    assert process.wait() == 0
    assert b"'cmpcmp'" in shown


def test_pytest_under_cmp(tmp_path):
    (tmp_path / "test_it.py").write_text("""
import multiprocessing
from unittest import mock
def double(x):
    return 2 * x
def test_cmp():
    assert multiprocessing.__name__ == "cmp"
    with multiprocessing.Pool(2) as pool:
        assert pool.map(double, [1, 2]) == [2, 4]
def test_mock_finds_what_the_program_uses():
    with mock.patch("multiprocessing.cpu_count", return_value=77):
        assert multiprocessing.cpu_count() == 77
""")
    ran = run(["-m", "cmp", "-m", "pytest", "-q", "-p", "no:cacheprovider"], tmp_path)
    assert ran.returncode == 0, ran.stdout
    assert "2 passed" in ran.stdout

"""Contexts and start methods."""
import os
import pickle
import subprocess
import sys
from multiprocessing import context as std_context
from multiprocessing import get_all_start_methods as std_start_methods

import pytest

import cmp


def test_same_default_as_this_python():
    program = "import {} as m; print(m.get_start_method(allow_none=True), m.get_start_method())"
    told = [subprocess.run([sys.executable, "-c", program.format(name)], capture_output=True, text=True).stdout
            for name in ("multiprocessing", "cmp")]
    assert told[0] == told[1] != ""


def test_start_methods_default_first():
    methods = cmp.get_all_start_methods()
    program = "import multiprocessing; print(multiprocessing.get_start_method())"
    assert methods[0] == subprocess.check_output([sys.executable, "-c", program], text=True).strip()
    assert sorted(methods) == sorted(std_start_methods()) == ["fork", "forkserver", "spawn"]


def test_the_start_method_is_set_once():
    program = """
import cmp, multiprocessing
cmp.set_start_method("spawn")
print(cmp.get_start_method(), cmp.Process._Popen.__qualname__, cmp.get_context().get_start_method())
try:
    cmp.set_start_method("fork")
except RuntimeError as error:
    print(error)
cmp.set_start_method("fork", force=True)
print(cmp.get_start_method())
cmp.set_start_method(None, force=True)
print(cmp.get_start_method(allow_none=True), multiprocessing.get_start_method(allow_none=True))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout.splitlines() == ["spawn Process._Popen spawn", "context has already been set", "fork",
                                       "None None"], ran.stderr


@pytest.mark.parametrize("wrong", ["threads", "", 5, None, ["fork"]])
def test_unknown_start_method_is_named(wrong):
    if wrong is None:
        assert cmp.get_context(None) is cmp.get_context()
        return
    with pytest.raises(ValueError, match="cannot find context for ") as caught:
        cmp.get_context(wrong)
    assert repr(wrong) in str(caught.value)
    with pytest.raises(ValueError, match="cannot set start method of concrete context"):
        cmp.get_context("fork").set_start_method("spawn")


def test_contexts_are_the_standard_librarys_too(ctx, method):
    assert ctx is cmp.get_context(method)
    assert ctx.get_context() is ctx
    assert isinstance(ctx, type(std_context._concrete_contexts[method]))
    assert isinstance(ctx, cmp.context.BaseContext)
    assert ctx.get_start_method() == method
    assert issubclass(ctx.Process, std_context._concrete_contexts[method].Process)
    assert ctx.Process.__name__ == type(ctx).__name__.replace("Context", "Process")


def test_what_a_context_makes_is_ours(ctx):
    made = [ctx.Lock(), ctx.RLock(), ctx.Semaphore(), ctx.BoundedSemaphore(), ctx.Condition(), ctx.Event(),
            ctx.Barrier(1), ctx.Queue(), ctx.JoinableQueue(), ctx.SimpleQueue(), ctx.Process()]
    assert {type(thing).__module__ for thing in made} == {"cmp.synchronize", "cmp.queues", "cmp.context"}
    with ctx.Pool(1) as pool:
        assert type(pool).__module__ == "cmp.pool"
        assert type(pool._pool[0]).__mro__[1].__module__ == "cmp.process"
    with ctx.Manager() as manager:
        assert type(manager).__module__ == "cmp.managers"
        assert type(manager._process).__mro__[1].__module__ == "cmp.process"


def test_exceptions_are_the_standard_librarys():
    for name in ("ProcessError", "BufferTooShort", "TimeoutError", "AuthenticationError"):
        assert getattr(cmp, name) is getattr(std_context, name)
        assert b"cmp" not in pickle.dumps(getattr(cmp, name)("text"))


def tell_start_method(queue):
    queue.put((cmp.get_start_method(), os.getpid()))


def test_children_know_the_start_method(ctx, method):
    queue = ctx.SimpleQueue()
    process = ctx.Process(target=tell_start_method, args=(queue,))
    process.start()
    assert queue.get() == (method, process.pid)
    process.join()


def run_program(tmp_path, text, *arguments):
    (tmp_path / "program.py").write_text(text)
    return subprocess.run([sys.executable, "-W", "default", tmp_path / "program.py", *arguments],
                          capture_output=True, text=True, timeout=50, cwd=tmp_path)


PRELOAD = """
import cmp, os, sys
def tell(queue):
    queue.put(("heavy" in sys.modules, sys.modules["heavy"].pid != os.getpid() if "heavy" in sys.modules else None))
if __name__ == "__main__":
    ctx = cmp.get_context("forkserver")
    cmp.set_forkserver_preload({names!r}, on_error={on_error!r})
    queue = ctx.SimpleQueue()
    process = ctx.Process(target=tell, args=(queue,))
    try:
        process.start()
    except (EOFError, ConnectionError) as error:
        print(error.__notes__)
        sys.exit()
    print(queue.get())
    process.join()
"""


def test_forkserver_preload(tmp_path):
    """Loaded once, in the server; found through the program's own sys.path (gh-117378)."""
    (tmp_path / "heavy.py").write_text("import os\npid = os.getpid()\n")
    ran = run_program(tmp_path, PRELOAD.format(names=["heavy"], on_error="ignore"))
    assert (ran.stdout, ran.stderr) == ("(True, True)\n", "")


def test_forkserver_preload_of_what_does_not_exist(tmp_path):
    ran = run_program(tmp_path, PRELOAD.format(names=["no_such_module"], on_error="ignore"))
    assert (ran.stdout, ran.stderr) == ("(False, None)\n", "")
    ran = run_program(tmp_path, PRELOAD.format(names=["no_such_module"], on_error="warn"))
    assert ran.stdout == "(False, None)\n"
    assert "ImportWarning: Failed to preload module 'no_such_module': No module named 'no_such_module'" in ran.stderr
    ran = run_program(tmp_path, PRELOAD.format(names=["no_such_module"], on_error="fail"))
    assert ran.stdout.startswith("['The fork server may have ended while it loaded")
    assert "ModuleNotFoundError: No module named 'no_such_module'" in ran.stderr


def test_forkserver_preload_of_the_main_module(tmp_path):
    """gh-126631: __main__ is loaded in the server, so that its children need not."""
    ran = run_program(tmp_path, """
import os, cmp
print(__name__, flush=True)
def tell(queue):
    queue.put((__name__, loaded_by == os.getppid()))
loaded_by = os.getpid()
if __name__ == "__main__":
    ctx = cmp.get_context("forkserver")
    queue = ctx.SimpleQueue()
    for _ in range(2):
        process = ctx.Process(target=tell, args=(queue,))
        process.start()
        print(queue.get(), flush=True)
        process.join()
""")
    assert ran.stdout.splitlines() == ["__main__", "__mp_main__", "('__mp_main__', True)", "('__mp_main__', True)"]
    assert ran.stderr == ""


@pytest.mark.parametrize(("arguments", "error"), [
    ((["a", 5],), "TypeError: module_names must be a list of strings"),
    ((["a"], "explode"), "ValueError: on_error must be 'ignore', 'warn', or 'fail', not 'explode'"),
])
def test_forkserver_preload_bad_arguments(arguments, error):
    names, on_error = (*arguments, "ignore")[:2]
    with pytest.raises((TypeError, ValueError)) as caught:
        cmp.set_forkserver_preload(names, on_error=on_error)
    assert f"{type(caught.value).__name__}: {caught.value}" == error


def test_found_only_through_sys_path(tmp_path):
    """A program that put cmp's folder on sys.path itself: children find it too, also with -I, -E and -S."""
    root = os.path.dirname(os.path.dirname(cmp.__file__))
    program = f"""
import sys
sys.path.insert(0, {root!r})
import cmp
def child(queue):
    queue.put(cmp.__file__)
if __name__ == "__main__":
    for method in cmp.get_all_start_methods():
        ctx = cmp.get_context(method)
        queue = ctx.SimpleQueue()
        process = ctx.Process(target=child, args=(queue,))
        process.start()
        print(queue.get() == cmp.__file__)
        process.join()
"""
    (tmp_path / "program.py").write_text(program)
    for options in ([], ["-I"], ["-E", "-S"]):
        ran = subprocess.run([sys.executable, *options, tmp_path / "program.py"], capture_output=True, text=True,
                             timeout=50, env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"})
        assert ran.stdout.splitlines() == ["True"] * 3, ran.stderr


def test_large_arguments_of_the_program(tmp_path):
    """gh-144503: a large sys.argv broke the start of a process."""
    ran = run_program(tmp_path, """
import cmp, sys
def child(queue):
    queue.put(len(sys.argv))
if __name__ == "__main__":
    for method in cmp.get_all_start_methods():
        ctx = cmp.get_context(method)
        queue = ctx.SimpleQueue()
        process = ctx.Process(target=child, args=(queue,))
        process.start()
        print(queue.get())
        process.join()
""", *["x" * 1000] * 400)
    assert ran.stdout.splitlines() == ["401"] * 3, ran.stderr[-500:]


def test_fork_server_knows_the_programs_arguments(tmp_path):
    """__main__ is imported in the server with the sys.argv of the program."""
    ran = run_program(tmp_path, """
import cmp, sys
mode = sys.argv[1]
def child(queue):
    queue.put((mode, sys.argv[1:]))
if __name__ == "__main__":
    ctx = cmp.get_context("forkserver")
    queue = ctx.SimpleQueue()
    process = ctx.Process(target=child, args=(queue,))
    process.start()
    print(queue.get())
    process.join()
""", "fast", "caf\u00e9")
    assert (ran.stdout, ran.stderr) == ("('fast', ['fast', 'caf\u00e9'])\n", "")


def test_fork_server_outlives_a_main_that_exits(tmp_path):
    ran = run_program(tmp_path, """
import cmp, os, sys
def child():
    print("ran", flush=True)
if __name__ == "__main__":
    process = cmp.get_context("forkserver").Process(target=child)
    process.start()
    process.join()
    print(process.exitcode)
elif os.path.basename(sys.argv[0]) == "program.py" and not hasattr(sys, "seen"):
    sys.seen = True
    sys.exit(3)
""")
    assert (ran.stdout, ran.stderr) == ("ran\n0\n", "")


def test_long_path(tmp_path):
    """800 folders on sys.path fit into the command line of the fork server."""
    ran = run_program(tmp_path, """
import cmp, sys
sys.path += [f"/no/such/folder/{i}/" + "x" * 80 for i in range(800)]
def child(queue):
    queue.put(len(sys.path) > 800)
if __name__ == "__main__":
    for method in ("spawn", "forkserver"):
        ctx = cmp.get_context(method)
        queue = ctx.SimpleQueue()
        process = ctx.Process(target=child, args=(queue,))
        process.start()
        print(queue.get())
        process.join()
""")
    assert (ran.stdout, ran.stderr) == ("True\nTrue\n", "")

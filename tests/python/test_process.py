"""Process objects: everything a user sees of one, under every start method."""
import builtins
import faulthandler
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

import cmp


def put_all(queue, *args, **kwargs):
    process = cmp.current_process()
    queue.put((args, kwargs, process.name, process.daemon, process.pid, cmp.parent_process().pid,
               bytes(process.authkey)))


def sleep_long():
    time.sleep(100)


def exit_with(code):
    sys.exit(code)


def leave_at_once(code):
    os._exit(code)


def kill_self(signum):
    faulthandler.disable()  # or a passing test would print how it crashed
    os.kill(os.getpid(), signum)


def fail(message):
    raise ValueError(message)


class Squarer(cmp.Process):
    def __init__(self, number, queue):
        super().__init__(name="Squarer")
        self.number, self.queue = number, queue

    def run(self):
        self.queue.put(self.number ** 2)


def test_what_the_child_sees(ctx):
    queue = ctx.SimpleQueue()
    process = ctx.Process(target=put_all, args=(queue, 1, "two"), kwargs={"three": 3.0}, name="Fred", daemon=True)
    assert (process.name, process.daemon, process.pid, process.exitcode) == ("Fred", True, None, None)
    assert not process.is_alive()
    process.start()
    seen = queue.get()
    process.join()
    assert seen == ((1, "two"), {"three": 3.0}, "Fred", True, process.pid, os.getpid(), bytes(process.authkey))
    assert process.exitcode == 0
    assert process.ident == process.pid
    assert repr(process).endswith("stopped exitcode=0 daemon>")


def test_kwargs_may_be_none(ctx):
    queue = ctx.SimpleQueue()
    process = ctx.Process(target=put_all, args=[queue], kwargs=None)
    process.start()
    assert queue.get()[:2] == ((), {})
    process.join()


def test_subclass_with_run(method):
    cmp.set_start_method(method, force=True)
    try:
        queue = cmp.SimpleQueue()
        process = Squarer(12, queue)
        process.start()
        assert queue.get() == 144
        process.join()
    finally:
        cmp.set_start_method(None, force=True)


@pytest.mark.parametrize(("target", "args", "exitcode"), [
    (exit_with, (None,), 0),
    (exit_with, (7,), 7),
    (exit_with, ("a message",), 1),
    (leave_at_once, (9,), 9),
    (kill_self, (signal.SIGKILL,), -signal.SIGKILL),
    (kill_self, (signal.SIGSEGV,), -signal.SIGSEGV),
    (fail, ("as asked",), 1),
])
def test_exitcode(ctx, target, args, exitcode):
    process = ctx.Process(target=target, args=args)
    process.start()
    process.join()
    assert process.exitcode == exitcode


@pytest.mark.parametrize(("how", "exitcode"), [
    ("terminate", -signal.SIGTERM), ("kill", -signal.SIGKILL), ("interrupt", 1)])
def test_signals(ctx, capfd, how, exitcode):
    started = ctx.Event()
    process = ctx.Process(target=wait_after, args=(started,))
    process.start()
    assert started.wait(30)
    getattr(process, how)()
    process.join()
    assert process.exitcode == exitcode
    getattr(process, how)()  # no harm to a process that has ended
    if how == "interrupt" and ctx.get_start_method() != "forkserver":  # the server's children write to its stderr
        assert "KeyboardInterrupt" in capfd.readouterr().err


def wait_after(event):
    event.set()
    while True:  # one long sleep would miss a SIGINT that comes just before it begins
        time.sleep(0.05)


def test_join_with_timeout_and_sentinel(ctx):
    process = ctx.Process(target=sleep_long)
    process.start()
    process.join(0.05)
    assert process.exitcode is None and process.is_alive()
    assert cmp.connection.wait([process.sentinel], 0) == []
    process.kill()
    assert cmp.connection.wait([process.sentinel], 30) == [process.sentinel]
    process.join(30)
    assert process.exitcode == -signal.SIGKILL


def test_close(ctx):
    process = ctx.Process(target=sleep_long)
    process.start()
    with pytest.raises(ValueError, match="Cannot close a process while it is still running"):
        process.close()
    process.kill()
    process.join()
    descriptor = process.sentinel
    process.close()
    process.close()
    with pytest.raises(OSError):
        os.fstat(descriptor)
    for use in (process.join, process.start, process.is_alive, process.interrupt):
        with pytest.raises(ValueError, match="process object is closed"):
            use()


def test_active_children(ctx):
    processes = [ctx.Process(target=sleep_long) for _ in range(3)]
    for process in processes:
        process.start()
    assert set(processes) <= set(cmp.active_children())
    for process in processes:
        process.kill()
        process.join()
    assert not set(processes) & set(cmp.active_children())


def test_exit_status_for_every_thread_that_joins(ctx):
    """gh-130895: the thread that came second to waitpid saw exitcode None."""
    for _ in range(10):
        process = ctx.Process(target=exit_with, args=(5,))
        process.start()
        seen = []

        def join(process=process, seen=seen):
            process.join()
            seen.append(process.exitcode)

        threads = [threading.Thread(target=join) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == [5] * 8


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_child_reaped_by_somebody_else(method):
    """gh-92881: is_alive() said True for ever."""
    process = cmp.get_context(method).Process(target=exit_with, args=(5,))
    process.start()
    os.waitpid(process.pid, 0)
    assert not process.is_alive()
    process.join()
    assert process.exitcode == 255
    process.terminate()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_sigchld_ignored(method):
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        process = cmp.get_context(method).Process(target=exit_with, args=(5,))
        process.start()
        process.join()
        assert not process.is_alive()
    finally:
        signal.signal(signal.SIGCHLD, before)


def leave_a_grandchild(pids):
    grandchild = subprocess.Popen(["sleep", "100"], close_fds=False)
    pids.put(grandchild.pid)


def test_join_does_not_wait_for_the_childs_children(ctx):
    pids = ctx.SimpleQueue()
    process = ctx.Process(target=leave_a_grandchild, args=(pids,))
    process.start()
    grandchild = pids.get()
    try:
        assert cmp.connection.wait([process.sentinel], 30) == [process.sentinel]
        process.join()
        assert process.exitcode == 0
    finally:
        os.kill(grandchild, signal.SIGKILL)


def length_of(queue, data):
    queue.put(len(data))


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_large_arguments_do_not_block_start(method):
    """gh-96953: start() wrote them into a pipe and waited for the child to read."""
    ctx = cmp.get_context(method)
    queue = ctx.SimpleQueue()
    process = ctx.Process(target=length_of, args=(queue, bytes(50_000_000)))
    process.start()
    assert queue.get() == 50_000_000
    process.join()
    assert process.exitcode == 0


def test_start_outlives_a_child_that_dies_at_once(tmp_path):
    """gh-118981: start() hung when the new interpreter ended without reading what it was given."""
    ran = subprocess.run([sys.executable, "-c", """
import cmp, sys
if __name__ == "__main__":
    ctx = cmp.get_context("spawn")
    ctx.set_executable("/bin/true")
    p = ctx.Process(target=print, args=(bytes(10_000_000),))
    p.start()
    p.join()
    print(p.exitcode)
"""], capture_output=True, text=True, timeout=50)
    assert (ran.stdout, ran.stderr) == ("0\n", "")


def test_parent_process(ctx):
    queue = ctx.SimpleQueue()
    process = ctx.Process(target=see_parent, args=(queue,))
    process.start()
    assert queue.get() == (os.getpid(), True, "MainProcess")
    process.join()
    assert cmp.parent_process() is None


def see_parent(queue):
    parent = cmp.parent_process()
    queue.put((parent.pid, parent.is_alive(), parent.name))


@pytest.mark.parametrize(("given", "error"), [
    ({"group": 5}, "AssertionError: group argument must be None for now, not 5"),
    ({"target": print, "args": 5}, r"TypeError: args=5 is no tuple: .*; for one argument write args=\(5,\)"),
    ({"target": print, "args": None}, "TypeError: args=None is no tuple"),
    ({"target": print, "kwargs": 5}, "TypeError: kwargs=5 is no dict: .*; write kwargs={'name': value}"),
    ({"target": print, "kwargs": ["abc"]}, r"ValueError: kwargs=\['abc'\] is no dict"),
])
def test_bad_arguments_are_named(ctx, given, error):
    kind, _, message = error.partition(": ")
    with pytest.raises(getattr(builtins, kind), match=message):
        ctx.Process(**given)


def test_started_twice_and_used_too_early(ctx):
    process = ctx.Process(target=exit_with, args=(0,))
    with pytest.raises(AssertionError, match="can only join a started process"):
        process.join()
    with pytest.raises(ValueError, match="process not started"):
        process.sentinel  # noqa: B018 (to look at it is the test)
    process.start()
    with pytest.raises(AssertionError, match="cannot start a process twice"):
        process.start()
    process.join()


def start_a_child(ctx, errors):
    try:
        ctx.Process(target=exit_with, args=(0,)).start()
    except AssertionError as error:
        errors.put(str(error))


def test_daemonic_processes_have_no_children(ctx):
    errors = ctx.SimpleQueue()
    process = ctx.Process(target=start_a_child, args=(ctx, errors), daemon=True)
    process.start()
    assert errors.get() == "daemonic processes are not allowed to have children"
    process.join()


def count_open(queue):
    queue.put(len(os.listdir("/proc/self/fd")))


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_no_descriptors_pile_up(method):
    ctx = cmp.get_context(method)

    def once():
        queue = ctx.SimpleQueue()
        process = ctx.Process(target=count_open, args=(queue,))
        process.start()
        count = queue.get()
        process.join()
        process.close()
        queue.close()
        return count

    once()
    before = len(os.listdir("/proc/self/fd"))
    in_children = {once() for _ in range(5)}
    assert len(in_children) == 1
    assert len(os.listdir("/proc/self/fd")) == before


def nested(ctx, depth, queue):
    if depth:
        process = ctx.Process(target=nested, args=(ctx, depth - 1, queue))
        process.start()
        process.join()
    queue.put((depth, type(cmp.current_process()).__mro__[1].__module__))


def test_children_of_children(ctx):
    queue = ctx.SimpleQueue()
    process = ctx.Process(target=nested, args=(ctx, 2, queue))
    process.start()
    assert [queue.get() for _ in range(3)] == [(0, "cmp.process"), (1, "cmp.process"), (2, "cmp.process")]
    process.join()
    assert process.exitcode == 0


def test_main_process_is_one_of_ours():
    assert isinstance(cmp.current_process(), cmp.process.BaseProcess)
    assert repr(cmp.current_process()) == "<_MainProcess name='MainProcess' parent=None started>"


def test_pidfd_refused(monkeypatch):
    """Where a sandbox refuses pidfds, a process is watched and signalled as in the standard library."""
    def refuse(*args):
        raise PermissionError(1, "Operation not permitted")
    monkeypatch.setattr(os, "pidfd_open", refuse)
    monkeypatch.setattr(signal, "pidfd_send_signal", refuse)
    for method in ("fork", "spawn", "forkserver"):
        process = cmp.get_context(method).Process(target=sleep_long)
        process.start()
        assert cmp.connection.wait([process.sentinel], 0) == []
        process.terminate()
        assert cmp.connection.wait([process.sentinel], 30) == [process.sentinel]
        process.join()
        assert process.exitcode == -signal.SIGTERM
        process.close()


def test_memfd_refused(monkeypatch):
    """Without memfd the child reads everything from its pipe."""
    def refuse(*args):
        raise OSError(38, "Function not implemented")
    monkeypatch.setattr(os, "memfd_create", refuse)
    for method in ("spawn", "forkserver"):
        ctx = cmp.get_context(method)
        queue = ctx.SimpleQueue()
        process = ctx.Process(target=length_of, args=(queue, bytes(200_000)))
        process.start()
        assert queue.get() == 200_000
        process.join()


def test_parent_seems_alive_no_longer_than_it_is(tmp_path):
    """A sibling forked later must not keep the end of the pipe by which a child knows that its parent lives."""
    script = """
import cmp, os, sys, time
def child():
    while cmp.parent_process().is_alive():
        time.sleep(0.01)
    os.write(1, b"orphan knows\\n")
def sibling():
    time.sleep(3)
if __name__ == "__main__":
    for method in ("fork", "spawn", "forkserver"):
        cmp.get_context(method).Process(target=child).start()
    s = cmp.get_context("fork").Process(target=sibling)
    s.start()
    os.write(1, b"%d\\n" % s.pid)
    os._exit(0)
"""
    (tmp_path / "script.py").write_text(script)
    ran = subprocess.Popen([sys.executable, tmp_path / "script.py"], stdout=subprocess.PIPE, text=True)
    sibling = int(ran.stdout.readline())
    told = [ran.stdout.readline() for _ in range(3)]
    with open(f"/proc/{sibling}/stat") as stat:
        assert stat.read().rpartition(")")[2].split()[0] == "S", "the sibling has to outlive the verdict"
    assert told == ["orphan knows\n"] * 3
    os.kill(sibling, signal.SIGKILL)
    ran.wait()
    ran.stdout.close()


def run_script(tmp_path, text, *arguments, folder=None, options=()):
    (tmp_path / "script.py").write_text(text)
    ran = subprocess.run([sys.executable, *options, tmp_path / "script.py", *arguments], capture_output=True,
                         text=True, timeout=50, cwd=folder or tmp_path)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_fork_while_a_thread_looks_after_processes(tmp_path, method):
    """The forked child must not wait for a lock that the thread holds in the parent."""
    assert run_script(tmp_path, """
import cmp, os, sys, threading, time
def watch():
    while not stop:
        process.is_alive()
if __name__ == "__main__":
    process = cmp.get_context(sys.argv[1]).Process(target=time.sleep, args=(100,))
    process.start()
    stop = False
    threads = [threading.Thread(target=watch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(40):
        if (pid := os.fork()) == 0:
            cmp.active_children()
            os._exit(0)
        os.waitpid(pid, 0)
    stop = True
    for thread in threads:
        thread.join()
    process.kill()
    process.join()
    print("done")
""", method) == ["done"]


def test_a_forked_child_does_not_take_its_siblings_for_dead(ctx):
    sibling = ctx.Process(target=sleep_long)
    sibling.start()
    told, tell = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            os.write(tell, repr(sibling.exitcode).encode())
            sibling.terminate()
        finally:
            os._exit(0)
    os.close(tell)
    os.waitpid(pid, 0)
    assert os.read(told, 10) == b"None"
    os.close(told)
    sibling.join()
    assert sibling.exitcode == -signal.SIGTERM


def test_python_built_without_pidfd_and_memfd(monkeypatch):
    """As those that were compiled against an old libc."""
    for module, name in ((os, "pidfd_open"), (os, "memfd_create"), (signal, "pidfd_send_signal")):
        monkeypatch.delattr(module, name)
    for method in ("fork", "spawn", "forkserver"):
        ctx = cmp.get_context(method)
        queue = ctx.SimpleQueue()
        process = ctx.Process(target=length_of, args=(queue, bytes(200_000)))
        process.start()
        assert queue.get() == 200_000
        process.join()
        assert process.exitcode == 0


def test_file_size_limit(tmp_path):
    """RLIMIT_FSIZE holds for memory files too."""
    assert run_script(tmp_path, """
import cmp, resource
def child(data):
    raise SystemExit(len(data) // 1000)
if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    for method in ("spawn", "forkserver"):
        process = cmp.get_context(method).Process(target=child, args=(bytes(100_000),))
        process.start()
        process.join()
        print(process.exitcode)
""", options=["-B"]) == ["100", "100"]  # -B: CPython would write a .pyc that is cut off at the limit


def test_no_descriptor_left(tmp_path):
    """A start that fails for want of descriptors gives back those that it had got."""
    assert run_script(tmp_path, """
import cmp, os, resource, sys
def open_now():
    return {int(name) for name in os.listdir("/proc/self/fd")}
if __name__ == "__main__":
    ctx = cmp.get_context(sys.argv[1])
    process = ctx.Process(target=print)
    process.start()  # the helpers of the standard library run from now on
    process.join()
    failed = 0
    for free in range(12):
        resource.setrlimit(resource.RLIMIT_NOFILE, (1000, 1000))
        before = open_now()
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(before) + 1 + free, 1000))
        holes = [os.dup(0) for _ in set(range(max(before))) - before]
        try:
            ctx.Process(target=print).start()
        except OSError:
            failed += 1
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (1000, 1000))
            for hole in holes:
                os.close(hole)
            while cmp.active_children():
                cmp.active_children()[0].join()
            if open_now() - before:
                print("left:", open_now() - before)
    print(failed > 2)
""", "spawn")[-1:] == ["True"]


WRAPPED = """
import cmp, os, sys
def child():
    print("ran", flush=True)
if __name__ == "__main__":
    with open("wrapper", "w") as file:
        file.write("#!/bin/sh\\n%s \\"$@\\"\\nexit $?\\n" % sys.executable)
    os.chmod("wrapper", 0o755)
    cmp.set_executable(os.path.abspath("wrapper"))
    process = cmp.get_context("spawn").Process(target=child, daemon=True)
    process.start()
    process.join()
    print(process.exitcode)
"""


def test_daemon_whose_interpreter_is_a_grandchild(tmp_path):
    assert run_script(tmp_path, WRAPPED) == ["ran", "0"]


def test_a_cmp_py_in_the_current_folder(tmp_path):
    """A program of the user's own called cmp.py, where children begin to look for modules."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "cmp.py").write_text("raise SystemExit('not this one')\n")
    assert run_script(tmp_path, """
import cmp
def child():
    print(cmp.__version__ != "", flush=True)
if __name__ == "__main__":
    for method in cmp.get_all_start_methods():
        process = cmp.get_context(method).Process(target=child)
        process.start()
        process.join()
""", folder=tmp_path / "elsewhere") == ["True"] * 3

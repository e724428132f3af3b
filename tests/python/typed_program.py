"""A program that uses the whole API, for a type checker; nobody runs it."""
import ctypes
import logging
import sys
from typing import Any

import cmp
import cmp.connection
import cmp.context
import cmp.dummy
import cmp.dummy.connection
import cmp.forkserver
import cmp.heap
import cmp.managers
import cmp.pool
import cmp.popen_fork
import cmp.popen_forkserver
import cmp.popen_spawn_posix
import cmp.process
import cmp.queues
import cmp.reduction
import cmp.resource_sharer
import cmp.resource_tracker
import cmp.shared_memory
import cmp.sharedctypes
import cmp.spawn
import cmp.synchronize
import cmp.util
from cmp import Lock, Pool, Process, Queue
from cmp.connection import Client, Connection, Listener, wait
from cmp.queues import Empty, Full


def work(number: int, name: str = "") -> int:
    return number + len(name)


class Worker(Process):
    def __init__(self, results: "cmp.queues.Queue[int]") -> None:
        super().__init__(name="worker", daemon=True)
        self.results = results

    def run(self) -> None:
        self.results.put(work(1))


def processes() -> int | None:
    version: str = cmp.__version__
    cmp.install()
    process = Process(target=work, args=(1,), kwargs={"name": version}, daemon=None)
    process.start()
    process.join(timeout=1.5)
    process.interrupt()
    process.terminate()
    process.kill()
    pid: int | None = process.pid
    alive: bool = process.is_alive()
    process.close()
    parent = cmp.parent_process()
    names = [child.name for child in cmp.active_children()] + [cmp.current_process().name]
    if parent is not None and alive and names:
        return parent.exitcode
    return pid


def start_methods() -> list[str]:
    fork: cmp.context.ForkContext = cmp.get_context("fork")
    spawn: cmp.context.SpawnContext = cmp.get_context("spawn")
    server: cmp.context.ForkServerContext = cmp.get_context("forkserver")
    default: cmp.context.DefaultContext = cmp.get_context()
    for context in (fork, spawn, server, default):
        lock: cmp.synchronize.Lock = context.Lock()
        queue: cmp.queues.Queue[int] = context.Queue(5)
        pool: cmp.pool.Pool = context.Pool(2)
        with lock, pool:
            queue.put(1)
    fork.Process(target=work, args=(1,)).start()
    cmp.set_start_method("spawn", force=True)
    cmp.set_forkserver_preload(["json"], on_error="warn")
    cmp.set_executable("python3")
    cmp.freeze_support()
    maybe: str | None = cmp.get_start_method(allow_none=True)
    surely: str = cmp.get_start_method()
    return [*cmp.get_all_start_methods(), surely, maybe or ""]


def queues(log: logging.Logger) -> None:
    queue: cmp.queues.Queue[str] = Queue(maxsize=3)
    try:
        queue.put("a", timeout=1.5)
        queue.put_nowait("b")
        text: str = queue.get() + queue.get_nowait() + queue.get(True, 1)
    except (Empty, Full):
        text = ""
    queue.close()
    queue.join_thread()
    joinable: cmp.queues.JoinableQueue[int] = cmp.JoinableQueue()
    joinable.put(queue.qsize())
    joinable.task_done()
    joinable.join()
    simple: cmp.queues.SimpleQueue[int] = cmp.SimpleQueue()
    simple.put(joinable.get())
    log.info("%s %s", text, simple.empty() or simple.get())
    cmp.log_to_stderr("INFO").setLevel(cmp.SUBWARNING)
    cmp.get_logger().log(cmp.SUBDEBUG, "")


def connections() -> Any:
    one, two = cmp.Pipe(duplex=False)
    end: Connection[Any, Any] = one
    with end, two:
        two.send({"a": 1})
        two.send_bytes(b"abc")
        ready = wait([one, two], timeout=0.5)
        if ready and one.poll(0.1):
            return one.recv()
        received: bytes = one.recv_bytes()
    with Listener(("localhost", 0), authkey=b"secret") as listener:
        Client(listener.address, authkey=b"secret").close()
        listener.accept().send(received)
    return None


def locks() -> bool:
    lock = Lock()
    with lock, cmp.RLock(), cmp.Semaphore(2), cmp.BoundedSemaphore():
        got: bool = lock.acquire(timeout=1) and lock.acquire(False)
    lock.release()
    condition = cmp.Condition(lock)
    with condition:
        condition.notify(2)
        condition.wait_for(lambda: got, timeout=1.5)
    event = cmp.Event()
    event.set()
    barrier = cmp.Barrier(2, action=event.clear, timeout=5)
    index: int = barrier.wait(1)
    return event.wait(0.5) and event.is_set() and index == 0 and cmp.Semaphore().get_value() > 0


def pools() -> list[int]:
    with Pool(2, initializer=print, initargs=("hello",), maxtasksperchild=5) as pool:
        results: list[int] = pool.map(work, [1, 2], chunksize=1)
        later: cmp.pool.AsyncResult[int] = pool.apply_async(work, (1,), {"name": "x"}, callback=print)
        results += pool.starmap(work, [(1, "x")])
        results += list(pool.imap_unordered(work, [1]))
        results.append(later.get(timeout=5))
        pool.close()
        pool.join()
    with cmp.pool.ThreadPool(2) as threads:
        results.append(threads.apply(work, (1,)))
    return results


def shared() -> float:
    number = cmp.Value("d", 1.5)
    with number.get_lock():
        number.value += 1
    typed = cmp.Value(ctypes.c_int, 5)
    count: int = typed.value
    bare = cmp.Value(ctypes.c_int, 5, lock=False)
    count += bare.value
    array = cmp.Array(ctypes.c_double, 3)
    array[0] = 1.5
    first: float = array[0]
    letters = cmp.Array(ctypes.c_char, b"abc")
    raw: bytes = letters.value
    cmp.RawValue(ctypes.c_int, 1).value += len(raw)
    cmp.RawArray("i", [1, 2, 3])
    cmp.shared_array((2, 3), "f8", fill=1.5).sum()
    memory = cmp.shared_memory.SharedMemory(create=True, size=100, track=False, reserve=True)
    memory.buf[0] = 1
    size: int = memory.size
    memory.close()
    memory.unlink()
    numbers = cmp.shared_memory.ShareableList([1, 2])
    return first + size + numbers[0] + count


def managers() -> int:
    with cmp.Manager() as manager:
        numbers: cmp.managers.ListProxy[int] = manager.list([1, 2])
        numbers += [3]
        numbers.append(4)
        copied: list[int] = numbers[:]
        ages = manager.dict(ann=1)
        ages["bob"] = 2
        both: dict[str, int] = ages.copy()
        if sys.version_info >= (3, 14):
            copied = numbers.copy()
            ages |= {"cid": 3}
            both = ages | {"dan": 4}
        letters: cmp.managers.SetProxy[str] = manager.set(["a"])
        letters |= {"b"}
        letters.add("c")
        union: set[str] = letters | {"d"}
        with manager.Lock():
            manager.Namespace().number = 5
        manager.Queue().put(1)
        return len(copied) + len(both) + len(letters) + len(union)


class OwnManager(cmp.managers.BaseManager):
    """A manager of the program's own."""


OwnManager.register("Counter", dict, cmp.managers.DictProxy)


def helpers() -> None:
    cmp.util.Finalize(None, print, exitpriority=1)
    cmp.util.register_after_fork(processes, print)
    cmp.reduction.ForkingPickler.register(int, lambda value: (int, (str(value),)))
    cmp.spawn.prepare(cmp.spawn.get_preparation_data("name"))
    cmp.forkserver.ensure_running()
    cmp.resource_tracker.ensure_running()
    cmp.resource_sharer.stop()
    cmp.dummy.Process(target=work, args=(1,)).start()
    cmp.dummy.connection.Pipe()
    try:
        raise cmp.TimeoutError
    except (cmp.ProcessError, cmp.BufferTooShort, cmp.AuthenticationError):
        cmp.allow_connection_pickling()
        print(cmp.cpu_count(), cmp.reducer)

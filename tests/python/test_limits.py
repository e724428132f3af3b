"""Under limits of the system cmp works, or fails with one clear OSError or MemoryError; it never crashes or hangs."""
import pytest
from crew import run_program

USE = """
def use():
    lock, event, condition, barrier = cmp.Lock(), cmp.Event(), cmp.Condition(), cmp.Barrier(1)
    with lock, condition:
        event.set()
        barrier.wait()
    ctx = cmp.get_context("fork")
    process = ctx.Process(target=lock.acquire)
    process.start()
    process.join()
    warnings.simplefilter("ignore")
    return lock.acquire(timeout=40) and event.is_set() and process.exitcode == 0
def attempt(function):
    try:
        return function()
    except (OSError, MemoryError) as error:
        return type(error).__name__ + (": " + str(error) if str(error) else "")
"""
HEAD = "import cmp, os, resource, sys, warnings\n" + USE


def test_address_space_of_half_a_gibibyte(tmp_path):
    """ulimit -v, as batch systems set it: it works, with less to grow into."""
    assert run_program(tmp_path, HEAD + """
resource.setrlimit(resource.RLIMIT_AS, (512 << 20, 512 << 20))
print(use(), len([cmp.Lock() for _ in range(10_000)]))
""") == ["True 10000"]


def test_address_space_that_is_used_up(tmp_path):
    """The objects that are there go on to work, and so do new ones once old ones are dropped."""
    printed = run_program(tmp_path, HEAD + """
resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))
first, locks = cmp.Lock(), []
def fill():
    while True:
        locks.append(cmp.Lock())
error = attempt(fill)
n = len(locks)
del locks[n // 2:]
print(n > 10_000, error.split(":")[0] in ("MemoryError", "OSError"), first.acquire(False))
print(len([cmp.Lock() for _ in range(1000)]))
""")
    assert printed == ["True True True", "1000"]


@pytest.mark.parametrize("mebibytes", [1, 8, 20, 40, 60, 100])
def test_hardly_any_address_space(tmp_path, mebibytes):
    """So little that the arena may not find room: an error that says so."""
    printed = run_program(tmp_path, HEAD + f"""
from cmp import synchronize  # else it is Python's modules for which there is no room
with open("/proc/self/statm") as statm:
    now = int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
resource.setrlimit(resource.RLIMIT_AS, (now + ({mebibytes} << 20), now + ({mebibytes} << 20)))
print(attempt(cmp.Lock))
""")
    assert len(printed) == 1
    assert printed[0] == "<Lock(owner=None)>" or printed[0].startswith(("MemoryError", "OSError: [Errno"))


@pytest.mark.parametrize("size", [0, 4096, 100_000, 1 << 20])
def test_file_size(tmp_path, size):
    """ulimit -f holds for memory files: no SIGXFSZ, an error at most, and what is there goes on."""
    printed = run_program(tmp_path, HEAD + f"""
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))
one = attempt(cmp.Lock)
locks = []
def fill():
    while len(locks) < 200_000:
        locks.append(cmp.Lock())
error = attempt(fill)
print(one)
print(error)
print(all(lock.acquire(False) for lock in locks), cmp.check() if locks else [])
""", options=["-B"])
    assert printed[2] == "True []"
    for line in printed[:2]:
        assert line in ("<Lock(owner=None)>", "None") or line.startswith(("OSError: [Errno 27]", "MemoryError")), line


def test_locked_memory(tmp_path):
    """mlockall(MCL_FUTURE): what the arena may grow to must not be made resident, or refused."""
    assert run_program(tmp_path, """
import ctypes, resource
libc = ctypes.CDLL(None, use_errno=True)
if libc.mlockall(3) != 0:
    raise SystemExit(print("True True"))
""" + HEAD + """
def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
before = resident()
print(use(), resident() - before < 64 << 20)
""") == ["True True"]


def test_locked_memory_with_a_limit(tmp_path):
    """... and with little that may be locked, as an ordinary user has it."""
    printed = run_program(tmp_path, """
import ctypes, resource
with open("/proc/self/statm") as statm:
    now = int(statm.read().split()[0]) * resource.getpagesize()
soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
wanted = now + (64 << 20) if hard == resource.RLIM_INFINITY else min(now + (64 << 20), hard)
resource.setrlimit(resource.RLIMIT_MEMLOCK, (wanted, wanted))
""" + HEAD + """
import cmp.synchronize  # another user may not read it
libc = ctypes.CDLL(None, use_errno=True)
CAP_IPC_LOCK = 14
libc.prctl(24, CAP_IPC_LOCK, 0, 0, 0)
if os.getuid() == 0 and os.fork() == 0:
    os.setuid(65534)
    locked = libc.mlockall(2) == 0
    result = attempt(lambda: str(cmp.Lock()))
    print("fine" if result.startswith(("<Lock", "OSError: [Errno", "MemoryError")) else result, flush=True)
    os._exit(0)
elif os.getuid() == 0:
    os.wait()
else:
    print("fine")
""")
    assert printed == ["fine"]


def test_sixty_four_descriptors(tmp_path):
    """Thousands of objects, and deaths that are confirmed, with sixty-four descriptors."""
    assert run_program(tmp_path, HEAD + """
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
keep = [kind() for _ in range(2000) for kind in (cmp.Lock, cmp.Event, cmp.Condition, cmp.Semaphore)]
print(use(), len(keep))
""") == ["True 8000"]


def test_no_descriptor_left(tmp_path):
    """At the first object: one clear error, and later it works. With the arena there: everything works."""
    assert run_program(tmp_path, HEAD + """
def exhaust():
    held = []
    try:
        while True:
            held.append(os.dup(0))
    except OSError:
        return held
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
held = exhaust()
print(attempt(cmp.Lock))
for one in held:
    os.close(one)
lock, event = cmp.Lock(), cmp.Event()
held = exhaust()
with lock:
    event.set()
warnings.simplefilter("ignore")
if os.fork() == 0:
    lock.acquire()
    os.kill(os.getpid(), 9)
os.wait()
print(lock.acquire(timeout=40), event.is_set(), len([cmp.Lock() for _ in range(5000)]), cmp.check())
""")[1:] == ["True True 5000 []"]


def test_the_error_without_descriptors_is_clear(tmp_path):
    printed = run_program(tmp_path, HEAD + """
import cmp.synchronize
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
held = []
try:
    while True:
        held.append(os.dup(0))
except OSError:
    pass
for make in (cmp.Lock, cmp.Event, cmp.Condition, lambda: cmp.Barrier(2), cmp.Semaphore):
    print(attempt(make))
""")
    assert len(printed) == 5 and len(set(printed)) == 1
    assert "[Errno 24]" in printed[0] and "shared memory" in printed[0]


def test_no_more_processes_than_allowed(tmp_path):
    """A fork that fails leaves no place of a process behind."""
    assert run_program(tmp_path, HEAD + """
lock = cmp.Lock()
if os.getuid() == 0:
    os.setuid(65534)
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
failed = 0
for _ in range(200):
    try:
        if os.fork() == 0:
            os._exit(0)
        os.wait()
    except OSError:
        failed += 1
with lock:
    print(failed > 0, cmp.check())
""") == ["True []"]

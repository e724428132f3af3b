"""cmp offers what the newest CPython's multiprocessing offers, on every CPython, and passes for it."""
import array
import contextlib
import importlib
import inspect
import itertools
import json
import multiprocessing
import multiprocessing.connection
import multiprocessing.dummy
import multiprocessing.managers
import multiprocessing.pool
import multiprocessing.shared_memory
import multiprocessing.sharedctypes
import multiprocessing.synchronize
import operator
import pathlib
import pickle
import pickletools
import subprocess
import sys

import pytest

import cmp

# What CPython 3.11 lacks and cmp does not offer on it: what it comes with, or why it does not come.
NOT_BEFORE_3_14 = "not before 3.14: pickles of proxies stay readable for a plain Python"
PENDING = {
    "connection.deliver_challenge(digest_name=)": "not before 3.12: Listener and Client are multiprocessing's",
    "forkserver.ForkServer.set_forkserver_preload(on_error=)": "a fork server of its own",
    "forkserver.main(authkey_r=)": "a fork server of its own",
    "forkserver.main(on_error=)": "a fork server of its own",
    "forkserver.main(sys_argv=)": "a fork server of its own",
    "managers.AcquirerProxy.locked": NOT_BEFORE_3_14,
    "managers.BaseListProxy.clear": NOT_BEFORE_3_14,
    "managers.BaseListProxy.copy": NOT_BEFORE_3_14,
    "managers.ConditionProxy.locked": NOT_BEFORE_3_14,
    "managers.DictProxy.__class_getitem__": NOT_BEFORE_3_14,
    "managers.DictProxy.__ior__": NOT_BEFORE_3_14,
    "managers.DictProxy.__or__": NOT_BEFORE_3_14,
    "managers.DictProxy.__reversed__": NOT_BEFORE_3_14,
    "managers.DictProxy.__ror__": NOT_BEFORE_3_14,
    "managers.DictProxy.fromkeys": NOT_BEFORE_3_14,
    "managers.ListProxy.__class_getitem__": NOT_BEFORE_3_14,
    "managers.ListProxy.clear": NOT_BEFORE_3_14,
    "managers.ListProxy.copy": NOT_BEFORE_3_14,
    "pool.ThreadPool(Pool)": "native pool",
    "queues.JoinableQueue.__class_getitem__": "native queues",
    "queues.Queue.__class_getitem__": "native queues",
    "util.WARNING": "a util of its own",
    "util.warn": "a util of its own",
}

NEWEST = json.loads(pathlib.Path(__file__).with_name("newest_api.json").read_text())
MODULES = [name for name in NEWEST["modules"] if name]


def counterpart(module, package="cmp"):
    return importlib.import_module(f"{package}.{module}".rstrip("."))


def standard(module):
    return counterpart(module, "multiprocessing")


def fits(own, wanted):
    """Whether a parameter takes what the wanted one takes: it may be optional, and the self of native types is
    positional only."""
    if own is None or wanted[0] != "self":
        return own in (wanted, [*wanted[:2], True])
    return own in (wanted, ["self", "POSITIONAL_ONLY", False])


def accepts(function, wanted):
    """The parameters of `wanted` that the function does not have as they are there."""
    if wanted is None:
        return
    try:
        own = inspect.signature(function, follow_wrapped=False).parameters
    except (TypeError, ValueError):
        return
    described = {name: [name, p.kind.name, p.default is not p.empty] for name, p in own.items()}
    for parameter in wanted:
        if not fits(described.pop(parameter[0], None), parameter):
            yield parameter[0]
    names = [name for name in own if name not in described]
    if names != [name for name, *_ in wanted if name in own]:
        yield "order"
    yield from (name for name, kind, optional in described.values() if not optional and not kind.startswith("VAR_"))


def parameters_missing(path, function, wanted):
    return {f"{path}({name}=)" for name in accepts(function, wanted)}


def missing_of_class(path, own, wanted):
    for name, parameters in wanted.items():
        if not any(name in vars(base) for base in own.__mro__):  # hasattr would find type's own __or__
            yield f"{path}.{name}"
        elif name == "__init__" and isinstance(own.__init__, type(object.__init__)):  # native: described by the class
            yield from parameters_missing(path, own, parameters[1:])
        elif isinstance(getattr(own, name), type(object.__init__)):  # native: its arguments have no names
            continue
        elif parameters is not None:
            yield from parameters_missing(f"{path}.{name}".replace(".__init__", ""), getattr(own, name), parameters)


def missing_of_name(path, own, wanted):
    if "class" in wanted:
        yield from missing_of_class(path, own, wanted["class"])
    elif "function" in wanted:
        yield from parameters_missing(path, own, wanted["function"])


def missing():
    for module, names in NEWEST["modules"].items():
        own = counterpart(module)
        for name, wanted in names.items():
            path = f"{module}.{name}".lstrip(".")
            if hasattr(own, name):
                yield from missing_of_name(path, getattr(own, name), wanted)
            else:
                yield path
    for name, methods in NEWEST["instances"].items():
        made = getattr(cmp, name)(*[1] * (name == "Barrier"))
        for method, parameters in methods.items():
            path = f"{name}().{method}"
            yield from parameters_missing(path, getattr(made, method), parameters) if hasattr(made, method) else [path]


def relations_missing():
    """The classes of cmp that are not related as their counterparts are."""
    for module, names in NEWEST["modules"].items():
        std, own = standard(module), counterpart(module)
        classes = [name for name, what in names.items() if "class" in what and hasattr(std, name)]
        for name, base in itertools.permutations(classes, 2):
            if (issubclass(getattr(std, name), getattr(std, base))
                    and not issubclass(getattr(own, name), getattr(own, base))):
                yield f"{module}.{name}({base})"


def test_everything_of_the_newest_multiprocessing_is_there():
    lacking = {*missing(), *relations_missing()}
    assert lacking <= PENDING.keys(), sorted(lacking - PENDING.keys())
    if sys.version_info < (3, 12):
        assert lacking == PENDING.keys(), f"there now: {sorted(PENDING.keys() - lacking)}"


@pytest.mark.parametrize("name", ["", *MODULES])
def test_names_of_the_running_multiprocessing_are_there_too(name):
    """Private ones included, with which other libraries meddle."""
    std, own = standard(name), counterpart(name)
    there = {key for key, value in vars(std).items() if getattr(value, "__module__", std.__name__) == std.__name__
             and not inspect.ismodule(value) and not key.startswith("__")}
    assert {key for key in there if not hasattr(own, key)} == set()
    assert set(getattr(std, "__all__", ())) <= set(getattr(own, "__all__", dir(own)))


@pytest.mark.parametrize("name", ["", *MODULES])
def test_star_import(name):
    module = counterpart(name)
    namespace = {}
    exec(f"from {f'cmp.{name}'.rstrip('.')} import *", namespace)
    del namespace["__builtins__"]
    assert set(module.__all__ if hasattr(module, "__all__") else
               (key for key in vars(module) if not key.startswith("_"))) == set(namespace)


@pytest.mark.parametrize("name", sorted(path.stem for path in pathlib.Path(cmp.__file__).parent.glob("*.py")
                                        if path.stem != "__init__"))
def test_every_submodule_has_all(name):
    module = importlib.import_module("cmp." + name)
    assert isinstance(module.__all__, list | tuple)
    assert all(hasattr(module, key) for key in module.__all__)


def test_own_signatures_show_in_introspection():
    assert (str(inspect.signature(cmp.set_forkserver_preload))
            == str(inspect.signature(multiprocessing.set_forkserver_preload)))


# isinstance and issubclass

@pytest.mark.parametrize("module, name", [(module, name) for module in ["", *MODULES]
                                          for name, what in NEWEST["modules"][module].items() if "class" in what])
def test_classes_are_subclasses(module, name):
    if not hasattr(standard(module), name):
        pytest.skip(f"not in the multiprocessing of this Python: {name}")
    assert issubclass(getattr(counterpart(module), name), getattr(standard(module), name))


SYNCHRONIZE = ["Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "RLock", "Semaphore"]
QUEUES = ["JoinableQueue", "Queue", "SimpleQueue"]


@pytest.mark.parametrize("name", [*SYNCHRONIZE, *QUEUES])
def test_objects_pass_for_the_standard_librarys(ctx, name):
    made = getattr(ctx, name)(*[1] * (name == "Barrier"))
    module = "synchronize" if name in SYNCHRONIZE else "queues"
    assert type(made) is getattr(counterpart(module), name)
    assert isinstance(made, getattr(standard(module), name))


def test_processes_pass_for_the_standard_librarys(ctx, method):
    std = multiprocessing.get_context(method)
    process = ctx.Process()
    assert isinstance(process, std.Process) and isinstance(process, multiprocessing.process.BaseProcess)
    assert isinstance(process, cmp.process.BaseProcess)
    assert isinstance(ctx, type(std)) and isinstance(ctx, multiprocessing.context.BaseContext)
    assert issubclass(ctx.Process, std.Process)


def test_the_default_process_and_context_pass_for_the_standard_librarys():
    assert isinstance(cmp.Process(), multiprocessing.Process)
    assert isinstance(cmp.context._default_context, multiprocessing.context.DefaultContext)
    assert isinstance(cmp.current_process(), cmp.process.BaseProcess)
    assert cmp.current_process() is multiprocessing.current_process()
    for name in ("AuthenticationError", "BufferTooShort", "ProcessError", "TimeoutError"):
        assert getattr(cmp, name) is getattr(multiprocessing, name)


def test_pools_pass_for_the_standard_librarys(ctx):
    with ctx.Pool(1) as pool:
        assert isinstance(pool, multiprocessing.pool.Pool) and type(pool) is cmp.pool.Pool
        assert isinstance(pool.apply_async(int), multiprocessing.pool.AsyncResult)
        pool.close()
        pool.join()
    with cmp.pool.ThreadPool(1) as pool:
        assert isinstance(pool, multiprocessing.pool.ThreadPool)
        pool.close()
        pool.join()


def test_connections_and_shared_memory_pass_for_the_standard_librarys(ctx):
    for end in ctx.Pipe():
        assert isinstance(end, multiprocessing.connection.Connection)
        end.close()
    memory = cmp.shared_memory.SharedMemory(create=True, size=1)
    assert isinstance(memory, multiprocessing.shared_memory.SharedMemory)
    memory.close()
    memory.unlink()


def test_shared_ctypes_pass_for_the_standard_librarys(ctx):
    std = multiprocessing.sharedctypes
    assert isinstance(ctx.Value("i"), std.Synchronized) and isinstance(ctx.Array("i", 1), std.SynchronizedArray)
    assert isinstance(ctx.Array("c", 1), std.SynchronizedString)
    assert isinstance(ctx.Value("i").get_lock(), multiprocessing.synchronize.RLock)
    assert type(ctx.RawValue("i")) is type(multiprocessing.RawValue("i"))


def test_managers_pass_for_the_standard_librarys(ctx):
    std = multiprocessing.managers
    with ctx.Manager() as manager:
        assert isinstance(manager, std.SyncManager) and type(manager) is cmp.managers.SyncManager
        for made, proxytype in ((manager.list(), "ListProxy"), (manager.dict(), "DictProxy"),
                                (manager.Lock(), "AcquirerProxy"), (manager.RLock(), "AcquirerProxy"),
                                (manager.Condition(), "ConditionProxy"), (manager.Event(), "EventProxy"),
                                (manager.Namespace(), "NamespaceProxy"), (manager.Value("i", 0), "ValueProxy")):
            assert isinstance(made, getattr(std, proxytype)) and isinstance(made, getattr(cmp.managers, proxytype))


# What third parties use though it is private.

PRIVATE = {
    "lock": "_semlock._is_zero _semlock._get_value _semlock._count _semlock._is_mine _semlock.handle _semlock.name "
            "_semlock.kind _semlock.maxvalue",
    "queue": "_reader _writer _buffer _sem _closed _thread _opid _maxsize _on_queue_feeder_error",
    "pool": "_pool _processes _cache _state _taskqueue _repopulate_pool _worker_handler _setup_queues "
            "_inqueue._writer _outqueue._reader Process",
    "connection": "fileno _send_bytes _recv_bytes",
    "memory": "_fd _name _mmap _buf",
    "process": "_config _popen _identity _parent_pid",
}


@contextlib.contextmanager
def sample(kind, ctx):
    """An object of each kind in PRIVATE."""
    if kind == "pool":
        with ctx.Pool(1) as pool:
            yield pool
            pool.close()
            pool.join()
    elif kind == "memory":
        memory = cmp.shared_memory.SharedMemory(create=True, size=1)
        yield memory
        memory.close()
        memory.unlink()
    elif kind == "connection":
        ends = ctx.Pipe()
        yield ends[0]
        for end in ends:
            end.close()
    else:
        yield {"lock": ctx.Lock, "queue": ctx.Queue, "process": cmp.current_process}[kind]()


@pytest.mark.parametrize("kind", PRIVATE)
def test_private_attributes(ctx, kind):
    with sample(kind, ctx) as made:
        for path in PRIVATE[kind].split():
            operator.attrgetter(path)(made)


def test_private_names_of_modules():
    for path in """process._children process._cleanup util.Finalize util.register_after_fork util._exit_function
            util.get_temp_dir reduction.ForkingPickler.register reduction.ForkingPickler.dumps
            reduction.ForkingPickler.loads reduction.DupFd resource_sharer.DupFd resource_tracker.register
            resource_tracker.unregister resource_tracker.ensure_running resource_tracker._resource_tracker._fd
            resource_tracker._resource_tracker._pid resource_tracker._resource_tracker.ensure_running
            connection.Connection spawn.get_preparation_data spawn.prepare spawn.get_command_line
            forkserver.ensure_running forkserver._forkserver synchronize.SemLock synchronize.SEM_VALUE_MAX
            queues.Empty queues._sentinel pool.worker pool.RemoteTraceback pool._PoolCache heap.Heap
            sharedctypes._new_value context._concrete_contexts context._default_context""".split():
        module, _, name = path.partition(".")
        operator.attrgetter(name)(counterpart(module))


def test_queues_of_third_parties_give_the_context_by_keyword(ctx):
    class OwnQueue(cmp.queues.Queue):
        def __init__(self):
            super().__init__(3, ctx=ctx)

    queue = OwnQueue()
    queue.put("one")
    assert queue.get(timeout=20) == "one"
    assert queue._maxsize == 3
    queue.close()
    queue.join_thread()


class NoDaemonProcess(type(cmp.get_context("fork").Process())):
    """The well-known way to have children of pool workers."""

    daemon = property(lambda self: False, lambda self, value: None)


class NoDaemonContext(type(cmp.get_context("fork"))):
    Process = NoDaemonProcess


def own_child(number):
    with cmp.get_context("fork").Pool(1) as pool:
        return pool.apply(abs, (number,))


def test_pool_whose_workers_have_children():
    with cmp.pool.Pool(1, context=NoDaemonContext()) as pool:
        assert pool.apply(own_child, (-3,)) == 3
        pool.close()
        pool.join()


# Pickles of what has no shared state.

def names_in(data):
    """Every text in a pickle, which is where the names of modules and classes stand."""
    return [argument for _, argument, _ in pickletools.genops(data) if isinstance(argument, str)]


def stateless():
    """Objects whose pickles a plain Python reads, with what it then says of them."""
    for name in ("AuthenticationError", "BufferTooShort", "ProcessError", "TimeoutError"):
        yield getattr(cmp, name)("why")
    yield cmp.managers.RemoteError("why")
    yield cmp.managers.Token("list", "address", "id")
    yield cmp.pool.MaybeEncodingError("why", "what")
    yield cmp.managers.Namespace(a=1)
    yield array.array("i", [1])
    yield cmp.connection.families
    yield cmp.process.AuthenticationString


def plain(program, data):
    """What a Python without cmp prints for the pickle."""
    ran = subprocess.run([sys.executable, "-I", "-c", f"import pickle, sys\n{program}"], input=data,
                         capture_output=True, cwd="/")
    assert ran.returncode == 0, ran.stderr.decode()
    return ran.stdout.decode().strip()


def test_pickles_load_without_cmp():
    objects = list(stateless())
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        for value in objects:
            data = pickle.dumps(value, protocol)
            assert not [text for text in names_in(data) if "cmp" in text], value
            assert b"cmp" not in data
    shown = plain("for v in pickle.load(sys.stdin.buffer): print(type(v).__module__, repr(v))\n"
                  "assert 'cmp' not in sys.modules", pickle.dumps(objects))
    assert shown.splitlines() == [f"{type(value).__module__} {value!r}" for value in objects]


def test_submodules_without_an_import_of_their_own():
    """multiprocessing.connection.wait after `import multiprocessing` alone: there as soon as a process was joined."""
    program = """
import cmp
print(cmp.connection.wait([], 0), cmp.util.Finalize.__name__, cmp.pool.Pool.__module__)
try:
    cmp.nothing
except AttributeError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert (ran.stdout, ran.stderr) == ("[] Finalize cmp.pool\nmodule 'cmp' has no attribute 'nothing'\n", "")

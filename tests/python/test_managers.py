"""Managers: what the running CPython's offer, and set() on every one, under every start method."""
import collections.abc
import contextlib
import copy
import pickle
import pickletools
import subprocess
import sys
import threading
import types
from multiprocessing import managers as std

import pytest

import cmp
from cmp import managers

KINDS = ("list", "dict", "set")
WITHOUT_LOCKED = [name for name in ("RLock", "Semaphore", "BoundedSemaphore", "Condition")
                  if not hasattr(getattr(threading, name)(), "locked")]
BEFORE_3_14 = sys.version_info < (3, 14)

new_in_3_14 = pytest.mark.skipif(BEFORE_3_14, reason="the standard library's proxies do not have it before 3.14")


@pytest.fixture
def manager(ctx):
    with ctx.Manager() as manager:
        yield manager


def in_child(ctx, function, *args):
    """Run the function in a child; what it returns."""
    results = ctx.SimpleQueue()
    child = ctx.Process(target=put_result, args=(results, function, args))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    answer = results.get()
    results.close()
    return answer


def put_result(results, function, args):
    results.put(function(*args))


def test_list(manager):
    numbers = same = manager.list([3, 1, 2])
    numbers += [5]
    numbers *= 2
    assert numbers is same and numbers[:] == [3, 1, 2, 5, 3, 1, 2, 5]
    assert [*reversed(numbers)] == [5, 2, 1, 3, 5, 2, 1, 3]
    assert numbers.__add__([7]) == [3, 1, 2, 5, 3, 1, 2, 5, 7] and 2 * numbers == numbers[:] * 2
    numbers.sort()
    del numbers[2:]
    assert numbers[:] == [1, 1] and len(numbers) == 2


@new_in_3_14
def test_list_copy_and_clear(manager):
    numbers = manager.list([3, 1, 2])
    assert numbers.copy() == [3, 1, 2] and type(numbers.copy()) is list
    numbers.clear()
    assert len(numbers) == 0 and numbers.copy() == []


def test_dict(manager):
    ages = manager.dict({"ann": 1}, bob=2)
    ages["cid"] = 3
    ages.update(ann=4)
    assert ages.copy() == {"ann": 4, "bob": 2, "cid": 3} and type(ages.copy()) is dict
    assert list(ages) == ages.keys() == ["ann", "bob", "cid"] and ages.values() == [4, 2, 3]
    assert "bob" in ages and ages.pop("bob") == 2 and "bob" not in ages
    del ages["cid"]
    assert ages.items() == [("ann", 4)] and ages.get("bob") is None and ages.setdefault("bob", 5) == 5
    with pytest.raises(KeyError):
        ages["nobody"]


@new_in_3_14
def test_dict_operators(manager):
    ages = same = manager.dict({"ann": 1, "bob": 2})
    assert ages | {"cid": 3} == {"ann": 1, "bob": 2, "cid": 3}
    assert {"ann": 0, "cid": 3} | ages == {"ann": 1, "cid": 3, "bob": 2}
    assert type(ages | {}) is dict
    ages |= {"cid": 3}
    ages |= [("ann", 4)]
    assert ages is same and isinstance(ages, managers.DictProxy)
    assert ages.copy() == {"ann": 4, "bob": 2, "cid": 3}
    assert list(reversed(ages)) == ["cid", "bob", "ann"]
    assert ages.fromkeys(["x", "y"]) == {"x": None, "y": None}
    assert ages.fromkeys("xy", 5) == {"x": 5, "y": 5}
    with pytest.raises(TypeError):
        ages | 5
    with pytest.raises(TypeError):
        ages |= 5


def test_set_is_a_set(manager):
    letters = manager.set("abc")
    assert len(letters) == 3 and "a" in letters and "z" not in letters
    assert sorted(letters) == ["a", "b", "c"]
    letters.add("d")
    letters.discard("x")
    letters.remove("a")
    with pytest.raises(KeyError):
        letters.remove("a")
    assert letters.copy() == {"b", "c", "d"}
    letters.update("e", "f")
    letters.difference_update("b")
    letters.intersection_update("cdx")
    letters.symmetric_difference_update("dy")
    assert letters.copy() == {"c", "y"}
    assert letters.pop() in {"c", "y"} and len(letters) == 1
    letters.clear()
    assert letters.copy() == set() and manager.set().copy() == set()


def test_set_operators(manager):
    letters = manager.set("abc")
    assert letters & set("bcd") == set("bc") and set("bcd") & letters == set("bc")
    assert letters | set("d") == set("abcd") and set("d") | letters == set("abcd")
    assert letters - set("a") == set("bc") and set("ad") - letters == set("d")
    assert letters ^ set("ad") == set("bcd") and set("ad") ^ letters == set("bcd")
    assert letters <= set("abc") and letters >= set("a") and letters < set("abcd") and letters > set("ab")
    assert not letters < set("abc") and not letters > set("abc")
    assert letters.union("d") == set("abcd") and letters.intersection("ad") == {"a"}
    assert letters.difference("a") == set("bc") and letters.symmetric_difference("ad") == set("bcd")
    assert letters.isdisjoint("xy") and letters.issubset("abcd") and letters.issuperset("ab")


def test_set_operators_in_place(manager):
    letters = same = manager.set("abc")
    letters |= set("de")
    letters &= set("abdx")
    letters -= {"a"}
    letters ^= set("by")
    assert letters is same and letters.copy() == set("dy")


@pytest.mark.parametrize("name, error", [("Lock", RuntimeError), ("RLock", RuntimeError), ("Condition", RuntimeError),
                                         ("BoundedSemaphore", ValueError), ("Semaphore", None)])
def test_locks(manager, name, error):
    lock = getattr(manager, name)()
    assert lock.acquire() is True
    lock.release()
    with lock:
        pass
    with pytest.raises(error) if error else contextlib.nullcontext():
        lock.release()  # once too often


@new_in_3_14
def test_locked(manager):
    lock = manager.Lock()
    assert lock.locked() is False
    with lock:
        assert lock.locked() is True
    assert lock.locked() is False


@new_in_3_14
@pytest.mark.parametrize("name", ["RLock", "Semaphore", "BoundedSemaphore", "Condition"])
def test_locked_of_the_others(manager, name):
    made = getattr(manager, name)()
    if name in WITHOUT_LOCKED:
        with pytest.raises((AttributeError, std.RemoteError), match="locked"):
            made.locked()
    else:
        assert made.locked() is False


def test_condition(manager):
    condition = manager.Condition()
    with condition:
        assert condition.wait(0.01) is False
        condition.notify_all()
        assert condition.wait_for(lambda: 5) == 5


def test_abstract_base_classes(manager):
    assert issubclass(managers.SetProxy, collections.abc.Collection)
    if BEFORE_3_14:
        assert isinstance(manager.set(), collections.abc.MutableSet)


@pytest.mark.parametrize("name", ["SetProxy", "ValueProxy", *(
    name for name in ("ListProxy", "DictProxy") if hasattr(getattr(std, name), "__class_getitem__"))])
def test_generic_aliases(name):
    proxytype = getattr(managers, name)
    alias = proxytype[int]
    assert type(alias) is types.GenericAlias
    assert alias.__origin__ is proxytype and alias.__args__ == (int,)


def test_the_proxies_are_the_standard_librarys():
    """All but that of set() where it has none, so that a plain Python reads their pickles."""
    for typeid, (*_, proxytype) in managers.SyncManager._registry.items():
        if typeid == "set" and BEFORE_3_14:
            assert proxytype is managers.SetProxy and proxytype.__module__ == "cmp.managers"
        else:
            assert proxytype is std.SyncManager._registry[typeid][-1], typeid
    for name in {name for name in vars(std) if name.endswith("Proxy")}:
        assert getattr(managers, name) is getattr(std, name)


def test_the_standard_librarys_managers_stay_as_they_are():
    assert (std.SyncManager._registry["list"][3], std.SyncManager._registry["dict"][3]) == (
        std.ListProxy, std.DictProxy)
    assert ("set" in std.SyncManager._registry) == hasattr(std, "SetProxy") == hasattr(std.SyncManager, "set")
    assert hasattr(std, "SetProxy") == (not BEFORE_3_14)


def change_all(numbers, ages, letters, lock):
    numbers.append(numbers[:])
    ages["child"] = len(ages)
    letters |= {"child"}
    with lock:
        return lock.acquire(False), [type(x).__name__ for x in (numbers, ages, letters)]


def test_proxies_in_a_child(ctx, manager):
    numbers, ages, letters, lock = manager.list([1]), manager.dict(a=1), manager.set(["a"]), manager.Lock()
    assert in_child(ctx, change_all, numbers, ages, letters, lock) == (False, ["ListProxy", "DictProxy", "SetProxy"])
    assert numbers[:] == [1, [1]]
    assert ages.copy() == {"a": 1, "child": 1}
    assert letters.copy() == {"a", "child"}
    assert lock.acquire(False) is True


@pytest.mark.parametrize("kind", KINDS)
def test_pickles_keep_loading(manager, kind):
    made = getattr(manager, kind)()
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(made, protocol))
        assert type(again) is type(made) and again._token.id == made._token.id
        assert len(again) == 0 and again._getvalue() == made._getvalue()


ARGUMENTS = {"Barrier": (1,), "Value": ("i", 1), "Array": ("i", [1]), "list": ([1],), "dict": ({1: 2},), "set": ({1},),
             "Semaphore": (3,)}


def one_of_each(manager):
    """A proxy of each type that a program asks a manager for."""
    return {typeid: getattr(manager, typeid)(*ARGUMENTS.get(typeid, ()))
            for typeid in sorted(manager._registry.keys() - {"AsyncResult", "Iterator", "Pool"})}


def modules_named_in(data):
    """The modules that a pickle names, of the two packages."""
    texts = [argument for _, argument, _ in pickletools.genops(data) if isinstance(argument, str)]
    return {text.partition(" ")[0] for text in texts if text.partition(".")[0] in ("cmp", "multiprocessing")}


def test_pickles_name_the_standard_library(manager):
    for typeid, proxy in one_of_each(manager).items():
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            data = pickle.dumps(proxy, protocol)
            own = {"cmp.managers"} if typeid == "set" and BEFORE_3_14 else set()
            assert modules_named_in(data) == {"multiprocessing.managers"} | own, typeid
            again = pickle.loads(data)
            assert type(again).__name__ == type(proxy).__name__ and again._token.id == proxy._token.id


PLAIN = """
import multiprocessing, pickle, sys
multiprocessing.current_process().authkey = bytes.fromhex(sys.argv[1])
proxies = pickle.load(sys.stdin.buffer)
assert 'cmp' not in sys.modules
for name, proxy in proxies.items():
    assert isinstance(proxy, multiprocessing.managers.BaseProxy), name
    globals()[name] = proxy
list.append("plain")
dict["plain"] = 5
if "set" in proxies:
    set.add("plain")
with Lock, RLock, BoundedSemaphore:
    Semaphore.acquire()
with Condition:
    Condition.notify_all()
Event.set()
Barrier.wait()
Queue.put("plain")
JoinableQueue.put("plain")
Array[0] = 5
Value.value = 6
Namespace.said = "plain"
"""


def test_a_plain_python_loads_and_uses_proxies(manager):
    made = one_of_each(manager)
    if BEFORE_3_14:
        letters = made.pop("set")
        assert letters.copy() == {1}
    ran = subprocess.run([sys.executable, "-I", "-c", PLAIN, bytes(cmp.current_process().authkey).hex()],
                         input=pickle.dumps(made), capture_output=True, cwd="/")
    assert ran.returncode == 0, ran.stderr.decode()
    assert made["list"][:] == [1, "plain"] and made["dict"].copy() == {1: 2, "plain": 5}
    assert BEFORE_3_14 or made["set"].copy() == {1, "plain"}
    assert made["Lock"].acquire(False) and made["Event"].is_set() and made["Queue"].get() == "plain"
    assert [made["Semaphore"].acquire(False) for _ in range(3)] == [True, True, False]
    assert made["Array"][0] == 5 and made["Value"].value == 6 and made["Namespace"].said == "plain"
    assert made["JoinableQueue"].get() == "plain"


def test_repr_str_and_deepcopy(manager):
    assert repr(manager.set({1})).startswith("<SetProxy object, typeid 'set' at 0x")
    assert str(manager.set({1})) == "{1}" and copy.deepcopy(manager.list([1])) == [1]


def test_proxies_within_proxies(manager):
    outer = manager.dict(numbers=manager.list([1]), letters=manager.set("a"))
    outer["numbers"] += [2]
    outer["letters"].add("b")
    assert outer["numbers"][:] == [1, 2] and outer["letters"].copy() == {"a", "b"}
    assert isinstance(outer["numbers"], managers.ListProxy) and isinstance(outer["letters"], managers.SetProxy)


class OwnManager(managers.SyncManager):
    """A program's own manager has the usual types and its own."""


OwnManager.register("Count", collections.Counter, managers.DictProxy)


def test_manager_of_a_program(ctx):
    manager = OwnManager(ctx=ctx)
    manager.start()
    with manager:
        count = manager.Count("aab")
        count["c"] = 5
        assert count.copy() == {"a": 2, "b": 1, "c": 5}
        assert manager.set("a").copy() == {"a"}


def test_clients_connect(manager):
    client = managers.SyncManager(address=manager.address, authkey=cmp.current_process().authkey)
    client.connect()
    letters = client.set("ab")
    letters &= {"a"}
    assert letters.copy() == {"a"}
    del letters, client


def test_shared_memory_manager(ctx):
    with managers.SharedMemoryManager(ctx=ctx) as manager:
        assert manager.ShareableList([1, "two"])[1] == "two"
        memory = manager.SharedMemory(8)
        memory.buf[:3] = b"abc"
        assert bytes(memory.buf[:3]) == b"abc"
        memory.close()

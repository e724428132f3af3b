"""The other things that a Manager makes: Namespace, Value, Array, Event, Condition, semaphores, a Barrier, a Pool."""
from multiprocessing import Manager, Process


def work(space, value, array, start, room, everyone, lock):
    start.wait()
    with room:
        pass
    with lock:
        value.value += 1
        array[value.value - 1] = space.factor * value.value
        space.done = value.value == 3
    everyone.wait()


def hear(condition, said):
    with condition:
        condition.wait_for(lambda: len(said) > 0)
        said.append("heard")


def third(n):
    return round(n / 3, 2)


if __name__ == "__main__":
    with Manager() as manager:
        space = manager.Namespace(factor=10, done=False)
        value, array = manager.Value("i", 0), manager.Array("i", [0, 0, 0])
        start, room, everyone = manager.Event(), manager.Semaphore(2), manager.Barrier(4)
        lock, bounded = manager.RLock(), manager.BoundedSemaphore(1)
        crew = [Process(target=work, args=(space, value, array, start, room, everyone, lock)) for _ in range(3)]
        for process in crew:
            process.start()
        assert value.get() == 0 and not start.is_set()
        start.set()
        everyone.wait()
        for process in crew:
            process.join()
        assert value.value == 3 and list(array[:]) == [10, 20, 30] and space.done
        print(value.value, list(array[:]), space.factor, space.done)
        with bounded:
            print("bounded:", bounded.acquire(False))

        condition, said = manager.Condition(), manager.list()
        process = Process(target=hear, args=(condition, said))
        process.start()
        with condition:
            said.append("said")
            condition.notify_all()
        process.join()
        print(list(said))
        pool = manager.Pool(1)
        print(pool.map(third, range(4)))
        pool.terminate()

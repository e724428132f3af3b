"""An Event: one signal for all who wait, to be cleared and used again."""
import time
from multiprocessing import Event, Process, Queue


def runner(name, gun, line, finish):
    line.put(name)
    came = gun.wait()
    finish.put((name, came, gun.is_set()))


def lights(green, halt, seen):
    while not halt.is_set():
        if green.wait(timeout=0.02):
            green.clear()
            seen.put("drove")
    seen.put("parked")


if __name__ == "__main__":
    gun, line, finish = Event(), Queue(), Queue()
    runners = [Process(target=runner, args=(name, gun, line, finish)) for name in ("Ada", "Bob", "Cyd")]
    for process in runners:
        process.start()
    assert sorted(line.get() for _ in runners) == ["Ada", "Bob", "Cyd"]
    assert not gun.is_set() and finish.empty()
    gun.set()
    for row in sorted(finish.get() for _ in runners):
        print(*row)
    for process in runners:
        process.join()
    assert gun.is_set() and gun.wait() is True and gun.wait(0) is True

    gun.clear()
    begin = time.monotonic()
    assert gun.wait(0.1) is False and gun.wait(timeout=0) is False
    assert time.monotonic() - begin >= 0.09
    print("timed out, set:", gun.is_set())

    green, halt, seen = Event(), Event(), Queue()
    car = Process(target=lights, args=(green, halt, seen))
    car.start()
    for _ in range(3):
        green.set()
        assert seen.get() == "drove"
    assert not green.is_set()
    halt.set()
    print("three times green, then:", seen.get())
    car.join()

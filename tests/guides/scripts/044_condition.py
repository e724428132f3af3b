"""A Condition: wait until told to look again; wait_for() does the looking."""
from multiprocessing import Condition, Process, Queue, Value


def consumer(name, condition, ready, waiting, eaten):
    with condition:
        waiting.value += 1
        condition.notify_all()  # the producer counts who is here
        condition.wait_for(lambda: ready.value > 0)
        ready.value -= 1
        eaten.put(name)


def ping(condition, ball, me, rounds):
    for _ in range(rounds):
        with condition:
            while ball.value != me:
                condition.wait()
            ball.value = 1 - me
            condition.notify()


if __name__ == "__main__":
    condition, eaten = Condition(), Queue()
    ready, waiting = Value("i", 0, lock=False), Value("i", 0, lock=False)
    crew = [Process(target=consumer, args=(n, condition, ready, waiting, eaten)) for n in range(4)]
    for process in crew:
        process.start()
    with condition:
        assert condition.wait_for(lambda: waiting.value == 4, timeout=30)
        assert eaten.empty()
        ready.value = 1
        condition.notify(1)
    first = eaten.get()
    with condition:
        assert ready.value == 0
        ready.value = 3
        condition.notify_all()
    print("fed:", sorted([first] + [eaten.get() for _ in range(3)]))
    for process in crew:
        process.join()

    with condition:
        assert condition.wait(0.05) is False
        assert condition.wait_for(lambda: False, timeout=0.05) is False
        print("nobody notified")
    try:
        condition.notify()
    except (RuntimeError, AssertionError):
        print("notify() wants the lock held")

    ball = Value("i", 0, lock=False)
    players = [Process(target=ping, args=(condition, ball, me, 50)) for me in (0, 1)]
    for process in players:
        process.start()
    for process in players:
        process.join()
    print("rallies:", [process.exitcode for process in players], ball.value)

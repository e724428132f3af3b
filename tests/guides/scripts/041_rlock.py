"""An RLock: whoever holds it may take it again, and has to give it back as often."""
from multiprocessing import Process, RLock, SimpleQueue


class Account:
    def __init__(self, balance, lock):
        self.balance, self.lock = balance, lock

    def add(self, amount):
        with self.lock:
            self.balance += amount
            return self.balance

    def add_twice(self, amount):
        with self.lock:
            self.add(amount)
            return self.add(amount)


def depth(lock, n):
    with lock:
        return 1 if n == 0 else 1 + depth(lock, n - 1)


def stranger(lock, answers):
    answers.put(lock.acquire(block=False))
    try:
        lock.release()
    except AssertionError as error:
        answers.put(str(error))


def guest(lock, answers):
    with lock:
        answers.put(Account(10, lock).add_twice(6))


def run(target, *args):
    process = Process(target=target, args=args)
    process.start()
    process.join()


if __name__ == "__main__":
    lock, answers = RLock(), SimpleQueue()
    print("depth:", depth(lock, 9), "balance:", Account(100, lock).add_twice(5))
    with lock:
        assert lock.acquire() and lock.acquire(timeout=1)
        lock.release()
        lock.release()
        run(stranger, lock, answers)
    assert answers.get() is False
    print("stranger:", answers.get())
    run(guest, lock, answers)
    print("guest:", answers.get())

"""Value and Array: numbers that parent and child both see, guarded by a lock of their own."""
import ctypes
from multiprocessing import Array, Lock, Process, RLock, Value


def rewrite(number, numbers, text, flag):
    number.value = 2.5
    for i in range(len(numbers)):
        numbers[i] = -numbers[i]
    text.value = b"written"
    flag.value = True


def deposit(balance, history, slot):
    for _ in range(500):
        with balance.get_lock():
            balance.value += 1
            history[slot] += balance.value > 0


if __name__ == "__main__":
    number, numbers = Value("d", 0.0), Array("i", range(6))
    text, flag = Array(ctypes.c_char, b"before.."), Value(ctypes.c_bool, False)
    process = Process(target=rewrite, args=(number, numbers, text, flag))
    process.start()
    process.join()
    assert number.value == 2.5 and numbers[:] == [0, -1, -2, -3, -4, -5]
    print(number.value, numbers[:], text.value, flag.value)
    numbers[1:4] = [7, 8, 9]
    print(numbers[:4], numbers[-1], len(numbers), sum(numbers))

    balance, history = Value("i", 0), Array("i", 3)
    crew = [Process(target=deposit, args=(balance, history, slot)) for slot in range(3)]
    for process in crew:
        process.start()
    for process in crew:
        process.join()
    assert balance.value == 1500 and history[:] == [500, 500, 500]
    print("balance:", balance.value, history[:])

    shared_lock = Lock()
    a, b = Value("i", 1, lock=shared_lock), Array("d", [0.5, 0.25], lock=RLock())
    assert a.get_lock() is shared_lock
    with b.get_lock(), b.get_lock():
        b.get_obj()[0] = 0.75
    plain = Value("i", 3, lock=False)
    print(a.get_obj().value, b[:], plain.value, hasattr(plain, "get_lock"))

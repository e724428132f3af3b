"""SimpleQueue: put, get, empty, close and nothing else."""
from multiprocessing import Process, SimpleQueue


def roman(numbers, answers):
    while (n := numbers.get()) is not None:
        text = ""
        for value, letters in ((10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")):
            text += letters * (n // value)
            n %= value
        answers.put(text)


if __name__ == "__main__":
    numbers, answers = SimpleQueue(), SimpleQueue()
    assert answers.empty()
    process = Process(target=roman, args=(numbers, answers))
    process.start()
    for n in (4, 9, 14, 38):
        numbers.put(n)
    said = [answers.get() for _ in range(4)]
    assert said == ["IV", "IX", "XIV", "XXXVIII"]
    print(*said)
    numbers.put(None)
    process.join()
    assert answers.empty() and numbers.empty()
    numbers.close()
    answers.close()
    print("closed", process.exitcode)

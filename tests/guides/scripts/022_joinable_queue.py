"""JoinableQueue: join() comes back when every item has been both taken and done."""
from multiprocessing import JoinableQueue, Process, SimpleQueue


def work(tasks, done):
    while (word := tasks.get()) is not None:
        done.put(word.title())
        tasks.task_done()
    tasks.task_done()


if __name__ == "__main__":
    tasks, done = JoinableQueue(), SimpleQueue()
    crew = [Process(target=work, args=(tasks, done), daemon=True) for _ in range(2)]
    for process in crew:
        process.start()
    words = "many hands make light work and that is how it is done".split()
    for word in words:
        tasks.put(word)
    tasks.join()
    finished = sorted(done.get() for _ in words)
    assert finished == sorted(word.title() for word in words)
    print(finished)

    for _ in crew:
        tasks.put(None)
    tasks.join()
    for process in crew:
        process.join()
    try:
        tasks.task_done()
    except ValueError as error:
        print(error)
    print("exits:", [process.exitcode for process in crew])

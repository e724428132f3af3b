"""Who implements multiprocessing here? The only script whose output differs between the two."""
import multiprocessing
from multiprocessing import Pool, Process, Queue


def package(kind):
    return kind.__module__.partition(".")[0]


def report(queue):
    queue.put([package(Process), package(type(queue)), package(type(multiprocessing.current_process()))])


if __name__ == "__main__":
    queue = Queue()
    process = Process(target=report, args=(queue,))
    process.start()
    print("child", *queue.get())
    process.join()
    with Pool(1) as pool:
        print("main", package(Process), package(type(queue)), package(type(pool)))

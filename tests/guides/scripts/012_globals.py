"""Globals: a forked child starts with a copy of its parent's, a spawned one with those of a fresh import."""
from multiprocessing import Manager, Process, Queue, SimpleQueue, get_start_method

colour = "grey"
mailbox = Queue()  # the very same queue in a forked child, another one elsewhere


def look(answers):
    answers.put(colour)


def given(value, answers):
    answers.put(value)


def repaint(shared, answers):
    global colour
    colour = "green"  # in this child only
    shared["colour"] = colour
    answers.put(colour)


def post(letter):
    mailbox.put(letter)


def run(target, *args):
    process = Process(target=target, args=args)
    process.start()
    process.join()
    assert process.exitcode == 0


if __name__ == "__main__":
    colour = "red"
    forked = get_start_method() == "fork"
    answers = SimpleQueue()
    run(look, answers)
    seen = answers.get()
    assert seen == ("red" if forked else "grey")
    print("a global seen by the child:", seen)
    run(given, colour, answers)
    print("as an argument:", answers.get())
    with Manager() as manager:
        shared = manager.dict(colour=colour)
        run(repaint, shared, answers)
        assert answers.get() == "green"
        print("child's own:", colour, "through a manager:", shared["colour"])

    run(post, "hello")
    if forked:
        assert mailbox.get(timeout=30) == "hello"
    print("letters after all:", mailbox.qsize(), mailbox.empty())

"""A pipe between two processes: both ends talk, both ends listen, the main process holds neither."""
from multiprocessing import Pipe, Process


class Asker(Process):
    def __init__(self, conn, report):
        Process.__init__(self)
        self.conn, self.report = conn, report

    def run(self):
        heard = []
        for question in ("upper", "sorted", "len"):
            self.conn.send((question, "pipe"))
            heard.append(self.conn.recv())
        self.conn.send(None)
        self.conn.close()
        self.report.send(heard)


class Answerer(Process):
    def __init__(self, conn):
        Process.__init__(self)
        self.conn = conn

    def run(self):
        how = {"upper": str.upper, "sorted": sorted, "len": len}
        while (message := self.conn.recv()) is not None:
            self.conn.send(how[message[0]](message[1]))


if __name__ == "__main__":
    left, right = Pipe(duplex=True)
    here, report = Pipe()
    pair = [Asker(left, report), Answerer(right)]
    [process.start() for process in pair]
    left.close()
    right.close()
    [process.join() for process in pair]
    heard = here.recv()
    assert heard == ["PIPE", ["e", "i", "p", "p"], 4]
    print(heard, [process.exitcode for process in pair])

"""Daemons: join(timeout) waits only so long, and those that still run end with their parent."""
import time
from multiprocessing import Event, Process


class Ticker(Process):
    def __init__(self, ready, period):
        Process.__init__(self)
        self.ready, self.period = ready, period

    def run(self):
        self.ready.set()
        while True:
            time.sleep(self.period)


def parent_of_none(ready):
    """A daemon may not have children of its own."""
    try:
        Process(target=time.sleep, args=(0,)).start()
    except AssertionError:
        ready.set()


if __name__ == "__main__":
    tickers = [Ticker(Event(), 0.01 * n) for n in range(1, 4)]
    for ticker in tickers:
        assert ticker.daemon is False
        ticker.daemon = True
        ticker.start()
    for ticker in tickers:
        ticker.ready.wait()
        begin = time.monotonic()
        ticker.join(0.05)
        assert time.monotonic() - begin >= 0.04
        assert ticker.is_alive() and ticker.exitcode is None
    print("still running:", sum(ticker.is_alive() for ticker in tickers))

    refused = Event()
    childless = Process(target=parent_of_none, args=(refused,), daemon=True)
    childless.start()
    childless.join()
    print("daemon without children:", refused.is_set(), childless.exitcode)
    try:
        childless.daemon = False
    except AssertionError:
        print("daemon is fixed once started")
    print("end")  # nobody waits for the tickers

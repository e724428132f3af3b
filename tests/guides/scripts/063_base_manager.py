"""A manager of one's own: registered classes live in its process, callers hold proxies."""
from multiprocessing import Process
from multiprocessing.managers import BaseManager, NamespaceProxy


class Ledger:
    def __init__(self, owner):
        self.owner, self.entries = owner, []

    def book(self, amount):
        self.entries.append(amount)
        return len(self.entries)

    def total(self):
        return sum(self.entries)

    def fail(self):
        raise LookupError("no such entry")


class OpenProxy(NamespaceProxy):
    """A proxy that shows the attributes, too."""
    _exposed_ = ("__getattribute__", "__setattr__", "__delattr__", "book")

    def book(self, amount):
        return self._callmethod("book", (amount,))


class Office(BaseManager):
    pass


Office.register("Ledger", Ledger)
Office.register("OpenLedger", Ledger, OpenProxy)


def clerk(ledger, amounts):
    for amount in amounts:
        ledger.book(amount)


if __name__ == "__main__":
    office = Office()
    office.start()
    ledger = office.Ledger("Grace")
    crew = [Process(target=clerk, args=(ledger, range(n, 30, 3))) for n in range(3)]
    for process in crew:
        process.start()
    for process in crew:
        process.join()
    assert ledger.total() == sum(range(30)) and ledger.book(0) == 31
    print("total:", ledger.total())
    try:
        ledger.fail()
    except LookupError as error:
        print("from the manager:", error)
    office.shutdown()

    with Office() as office:
        proxy = office.OpenLedger("Linus")
        proxy.book(12)
        proxy.owner = proxy.owner.upper()
        print(proxy.owner, proxy.entries)

"""Objects of one's own through a Queue: what arrives is an equal copy, never the object itself."""
from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from multiprocessing import Process, Queue


@dataclass
class Parcel:
    to: str
    content: list = field(default_factory=list)
    stamp: date = date(2024, 2, 29)


class Tally(Counter):
    def heaviest(self):
        return max(self, key=self.get)


def forward(inbox, outbox):
    for _ in range(3):
        item = inbox.get()
        if isinstance(item, Parcel):
            item.content.append("seen")
        outbox.put(item)


if __name__ == "__main__":
    inbox, outbox = Queue(), Queue()
    process = Process(target=forward, args=(inbox, outbox))
    process.start()
    parcel = Parcel("Lima", [1, [2.5, None], {"deep": {"er": b"bytes"}}])
    tally = Tally("mississippi")
    nested = {(1, 2): {3, 4}, "none": None, "big": 10 ** 40, "text": "naïve ✓"}
    for item in (parcel, tally, nested):
        inbox.put(item)
    back = [outbox.get() for _ in range(3)]
    process.join()

    assert back[0] is not parcel and back[0].content == parcel.content + ["seen"] and back[0].stamp == parcel.stamp
    assert parcel.content[-1] != "seen"
    assert type(back[1]) is Tally and back[1] == tally and back[2] == nested
    print(back[0])
    print(back[1].heaviest() in "is", back[1]["s"], sorted(back[2], key=str)[0])

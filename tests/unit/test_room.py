"""Room for so much at once: never more than there is, who came first goes first, and all of it is given back."""

from __future__ import annotations

import random
import threading
import time

import pytest

from reelpress.run.room import Room


@pytest.mark.parametrize("places", [1, 2, 3, 8])
def test_never_more_is_taken_than_there_is(places: int) -> None:
    room, lock, chance = Room(places), threading.Lock(), random.Random(places)
    taken, most = [0], [0]

    def work(share: int) -> None:
        with room.taken(share):
            with lock:
                taken[0] += min(share, places)
                most[0] = max(most[0], taken[0])
            time.sleep(0.001)
            with lock:
                taken[0] -= min(share, places)

    threads = [threading.Thread(target=work, args=(chance.randint(1, 3),)) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert taken == [0]
    assert most[0] == places


def test_one_that_needs_much_is_not_passed_by_those_that_need_little() -> None:
    room, order = Room(2), list[str]()
    begun, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with room.taken(1):
            begun.set()
            go_on.wait(10)

    def come(name: str, share: int) -> threading.Thread:
        def work() -> None:
            with room.taken(share):
                order.append(name)

        thread = threading.Thread(target=work)
        thread.start()
        while room._come < len(waiting) + 2:  # it stands in line
            time.sleep(0.001)
        return thread

    first = threading.Thread(target=hold)
    first.start()
    assert begun.wait(10)
    waiting: list[threading.Thread] = []
    waiting.append(come("large", 2))
    waiting.append(come("small", 1))
    time.sleep(0.05)
    assert order == []
    go_on.set()
    for thread in (first, *waiting):
        thread.join(10)
    assert order == ["large", "small"]


def test_what_fails_gives_its_room_back() -> None:
    room = Room(1)
    for _ in range(3):
        with pytest.raises(ValueError, match="inside"), room.taken(1):
            raise ValueError("inside")
    with room.taken(1):
        pass

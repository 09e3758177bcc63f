"""What dead processes leave, as a living one takes it in: holds are settled, and observers hear of charges."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from headgate.assembly.protection import Protection
from headgate.metering import UnderWay
from headgate.ports import Observer
from headgate.stores.drain import Heir
from headgate.types import RequestRecord


class Inheritance(Heir):
    """For a process whose parts are asked for when they are needed: the drain is made before them."""

    def __init__(self, protection: Callable[[], Protection], observers: Callable[[], Sequence[Observer]]) -> None:
        self._protection = protection
        self._observers = observers

    def adopted(self, records: Sequence[RequestRecord]) -> None:
        self._protection().booked(records)

    def charged(self, records: Sequence[RequestRecord]) -> None:
        self._protection().booked(records)
        for observer in self._observers():
            for record in records:
                observer.settled(record, ())

    def freed(self, notes: Sequence[UnderWay]) -> None:
        self._protection().freed(notes)

"""Rings of bells, and how the states of a /sync tell the age of a device.

A bell is rung by changing its presence, so that the presence stream moves. Synapse then finds the
bell among the states that changed since a device asked last: exactly the bells that were rung
since then. The status text of a bell says what devices missed that have not heard it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from synapse.module_api import UserPresenceState

from ..bell_names import BELLS, bell_for_all_name, bell_name
from .codes import Codes


@dataclass(frozen=True)
class Position:
    """How much of the history of visibility is over."""

    revision: str
    """The daemon's revision. Opaque."""

    room_position: int
    """The position in Synapse's stream of events, up to which changes of rooms are taken into
    account."""


@dataclass(frozen=True)
class Ring:
    """What the text of a bell says."""

    number: int
    """One more than that of the ring before, of any bell."""

    since: Position
    """The end of the ring before: a device that has heard that one knows everything up to it."""

    until: Position

    def to_text(self) -> str:
        """Returns the ring as a text."""
        since, until = self.since, self.until
        return (
            f"{self.number} {since.room_position} {until.room_position} "
            f"{since.revision} {until.revision}"
        )


def parse_ring(text: str | None) -> Ring | None:
    """Reads the text of a ring. None: it is not one."""
    parts = (text or "").split(" ")
    if len(parts) != 5:
        return None
    try:
        number, since, until = map(int, parts[:3])
    except ValueError:
        return None
    return Ring(number, Position(parts[3], since), Position(parts[4], until))


@dataclass(frozen=True)
class Heard:
    """The bells among the states that changed since a device asked last."""

    rings: tuple[Ring, ...]
    """Without those of the bell for everything."""

    is_for_all: bool
    """True if the bell for everything is among them, or one with a text that is no ring."""

    last: Ring | None
    """The latest of them. None: no text is a ring."""

    @property
    def is_older_than_ring(self) -> bool:
        """Returns true if every bell of the ring was rung since then: the device may have missed
        others as well, which the text of no bell mentions any more."""
        return len(self.rings) >= BELLS

    @property
    def first(self) -> Ring | None:
        """Returns the first ring that the device missed. None: it is not known."""
        if self.is_for_all or self.is_older_than_ring:
            return None
        return min(self.rings, key=lambda ring: ring.number, default=None)


class BellNames:
    """The bells of one homeserver, and the rings that their texts tell of."""

    def __init__(self, server_name: str, codes: Codes) -> None:
        self._ring = frozenset(bell_name(number, server_name) for number in range(BELLS))
        self.for_all = bell_for_all_name(server_name)
        self.all = (*sorted(self._ring), self.for_all)
        self._server_name = server_name
        self._codes = codes

    def text_of(self, bell: str, ring: Ring) -> str:
        """Returns the status text of a bell that a ring moves."""
        return self._codes.add_to(bell, ring.to_text())

    def ring_of(self, state: UserPresenceState) -> Ring | None:
        """Returns the ring that moved a bell. None: no process of this Synapse wrote its text."""
        return parse_ring(self._codes.read(state.user_id, state.status_msg))

    def bell_of(self, ring: Ring) -> str:
        """Returns the bell that a ring moves."""
        return bell_name(ring.number, self._server_name)

    def find_among(self, states: Iterable[UserPresenceState]) -> Heard | None:
        """Returns the bells among some states. None: there are none."""
        found = [
            (state.user_id == self.for_all, self.ring_of(state))
            for state in states
            if state.user_id == self.for_all or state.user_id in self._ring
        ]
        if not found:
            return None
        rings = [ring for _, ring in found if ring is not None]
        return Heard(
            tuple(ring for for_all, ring in found if ring is not None and not for_all),
            any(for_all or ring is None for for_all, ring in found),
            max(rings, key=lambda ring: ring.number, default=None),
        )

"""Random policies, rooms, joins, leaves, edits and syncs of several devices, in a real Synapse
in which the policy alone decides, against an oracle.

At every moment a device is told no more than the policy showed at some time since its last
/sync; and after some quiet it has been told exactly what the policy shows. Runs for about
`PRESENCE_ROUTER_EXACT_SECONDS`, from the seed `PRESENCE_ROUTER_EXACT_SEED` on.
"""

import os
import random
import time
from collections.abc import Iterator

import pytest
from conftest import World
from exact import LOCAL, start_exact_world
from exact_oracle import (
    EVERYTHING,
    NOTHING,
    RoomModel,
    RuleModel,
    random_rules,
    shows,
)
from matrix import Presence, User

SECONDS = float(os.environ.get("PRESENCE_ROUTER_EXACT_SECONDS", "20"))
SEED = int(os.environ.get("PRESENCE_ROUTER_EXACT_SEED", "1"))

STEPS_BEFORE_QUIET = 15
QUIETS = 4

# A presence and a status message, as far as they are compared.
Shown = tuple[str, str | None]
OFFLINE: Shown = ("offline", None)


class Device:
    """A device of a user: what it was told, and since when it was told nothing."""

    def __init__(self, user: User, name: str, version: int) -> None:
        self.user = user
        self.name = f"{name} of {user.id}"
        # The version of the run at which its last /sync began.
        self.asked_at = version


class Run:
    """One random run: the world as it should be, and all that it ever was."""

    def __init__(self, world: World, seed: int) -> None:
        self.random = random.Random(seed)
        self.log = [f"seed {seed}"]
        self.daemon = world.daemon
        self.url = world.homeserver.url
        self.users = [world.user(f"user{number}") for number in range(4)]
        self.keeper = world.user("keeper")
        self.ids = [user.id for user in (*self.users, self.keeper)]
        self.by_id = {user.id: user for user in (*self.users, self.keeper)}
        self.rooms = [RoomModel(self.keeper.create_room(name="one of many")) for _ in range(3)]
        for room in self.rooms:
            room.members.add(self.keeper.id)
        # The pairs of users who ever shared a room.
        self.met: set[frozenset[str]] = set()
        self.rules: list[RuleModel] = []
        # By version: what is shown by pair. The presences that each user ever had.
        self.shown: list[dict[tuple[str, str], int]] = []
        self.had: dict[str, list[Shown]] = {user_id: [] for user_id in self.ids}
        self.had_at: dict[str, list[int]] = {user_id: [] for user_id in self.ids}
        self.edit()
        for user in self.by_id.values():
            self.set_presence(user)
        self.devices = [
            Device(user.at(self.url), name, self.version)
            for user in self.users
            for name in ("phone", "laptop")
        ]

    @property
    def version(self) -> int:
        """The present version."""
        return len(self.shown) - 1

    def step(self) -> None:
        """Does something."""
        steps = {
            self.set_some_presence: 6,
            self.join: 4,
            self.leave: 3,
            self.edit: 2,
            self.change_room: 2,
            self.sync: 8,
        }
        (step,) = self.random.choices(list(steps), list(steps.values()))
        step()

    def set_some_presence(self) -> None:
        self.set_presence(self.random.choice(list(self.by_id.values())))

    def set_presence(self, user: User) -> None:
        presence = self.random.choice(["online", "online", "unavailable", "offline"])
        status = f"status {sum(map(len, self.had.values()))}"
        self.note(f"{user.id} is {presence}, {status}")
        self.had[user.id].append((presence, status))
        self.had_at[user.id].append(self.version)
        user.set_presence(presence, status)

    def join(self) -> None:
        user, room = self.random.choice(self.users), self.random.choice(self.rooms)
        if user.id not in room.members:
            user.join(room.room_id)
            room.members.add(user.id)
            self.met.update(frozenset((user.id, member)) for member in room.members)
            self.record(f"{user.id} joins {room}")

    def leave(self) -> None:
        room = self.random.choice(self.rooms)
        members = sorted(room.members - {self.keeper.id})
        if members:
            user = self.by_id[self.random.choice(members)]
            user.leave(room.room_id)
            room.members.discard(user.id)
            self.record(f"{user.id} leaves {room}")

    def edit(self) -> None:
        self.rules = random_rules(self.random, self.ids)
        self.daemon.apply([rule.written(number) for number, rule in enumerate(self.rules)])
        self.record("\n  ".join(["the policy becomes", *map(repr, self.rules)]))

    def change_room(self) -> None:
        room = self.random.choice(self.rooms)
        if not room.encrypted and self.random.random() < 0.3:
            content = {"algorithm": "m.megolm.v1.aes-sha2"}
            self.keeper.set_state(room.room_id, "m.room.encryption", content)
            room.encrypted = True
        else:
            room.history_visibility = self.random.choice(["shared", "joined"])
            content = {"history_visibility": room.history_visibility}
            self.keeper.set_state(room.room_id, "m.room.history_visibility", content)
        self.record(f"changed {room}")

    def sync(self) -> None:
        self.sync_device(self.random.choice(self.devices))

    def sync_device(self, device: Device, initially: bool = False) -> None:
        """Syncs, and checks that the device is told no more than it may be."""
        since, device.asked_at = device.asked_at, self.version
        came = device.user.sync_again() if initially else device.user.sync()
        if came:
            told = {sender: shown_by(content) for sender, content in came.items()}
            self.note(f"{device.name} is told {told}")
        for sender, content in came.items():
            if sender in self.had and sender != device.user.id:
                self.check_told(device, sender, content, self.version if initially else since)

    def check_told(self, device: Device, sender: str, content: Presence, since: int) -> None:
        pair = (sender, device.user.id)
        told = shown_by(content)
        explain = f"{device.name} is told {told} of {sender}"
        if told == OFFLINE:
            # Who once saw somebody sees them go; and room-mates may be told of each other.
            met = set(pair) in self.met
            assert met or any(shown[pair] for shown in self.shown), self.explain(explain)
            return
        most = max(shown[pair] for shown in self.shown[since:])
        assert most != NOTHING, self.explain(explain)
        had = self.had_since(sender, since)
        presence, status = told
        if status is None:
            assert presence in [one for one, _ in had], self.explain(explain)
        else:
            assert most == EVERYTHING and told in had, self.explain(explain)

    def had_since(self, sender: str, since: int) -> list[Shown]:
        """The presences that a user had in this version or later."""
        ends = [*self.had_at[sender][1:], self.version]
        return [had for had, end in zip(self.had[sender], ends, strict=True) if end >= since]

    def quiet(self) -> None:
        """Checks that devices which sync are told exactly what the policy shows."""
        self.note("quiet")
        # Some sleep on.
        awake = [device for device in self.devices if self.random.random() < 0.7]
        for device in awake:
            end = time.monotonic() + 10
            self.sync_device(device)
            while self.mistakes(device):
                assert time.monotonic() < end, self.explain(str(self.mistakes(device)))
                time.sleep(0.05)
                self.sync_device(device)
        # Nothing comes late that is wrong.
        for device in awake:
            self.sync_device(device)
            assert not self.mistakes(device), self.explain(str(self.mistakes(device)))
        for user in self.users:
            fresh = Device(user.at(self.url), "a new device", self.version)
            self.sync_device(fresh, initially=True)
            assert not self.mistakes(fresh), self.explain(str(self.mistakes(fresh)))

    def mistakes(self, device: Device) -> list[str]:
        """What a device knows that it should not, or does not know."""
        wrong = []
        for sender in self.ids:
            if sender == device.user.id:
                continue
            told = shown_by(device.user.sees.get(sender, {"presence": "offline"}))
            presence, status = self.had[sender][-1]
            level = self.shown[-1][(sender, device.user.id)]
            if level == NOTHING:
                right = told == OFFLINE
            elif presence == "offline":
                # Initially, Synapse sends none of these.
                right = told in (OFFLINE, (presence, status if level == EVERYTHING else None))
            else:
                right = told == (presence, status if level == EVERYTHING else None)
            if not right:
                wrong.append(f"{device.name} knows {told} of {sender}, level {level}, who is "
                             f"{(presence, status)}")  # fmt: skip
        return wrong

    def record(self, what: str) -> None:
        """Begins a version."""
        self.note(f"version {len(self.shown)}: {what}")
        self.shown.append(
            {
                (sender, recipient): shows(self.rules, self.rooms, sender, recipient)
                for sender in self.ids
                for recipient in self.ids
            }
        )

    def note(self, what: str) -> None:
        self.log.append(what)

    def explain(self, why: str) -> str:
        """A failure, with all that happened."""
        return "\n".join([why, *self.log[-150:]])


def shown_by(content: Presence) -> Shown:
    """A presence, as far as it is compared."""
    return str(content["presence"]), content.get("status_msg")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    yield from start_exact_world(tmp_path_factory.mktemp("random"))


@pytest.mark.skipif(LOCAL != "exact", reason="the oracle is of `exact`")
def test_devices_are_told_what_the_policy_shows(world: World) -> None:
    end, seed = time.monotonic() + SECONDS, SEED
    while seed == SEED or time.monotonic() < end:
        run = Run(world, seed)
        for _ in range(QUIETS):
            for _ in range(STEPS_BEFORE_QUIET):
                run.step()
            run.quiet()
        seed += 1

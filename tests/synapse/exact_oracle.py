"""The meaning of a policy over rooms, by brute force: who sees whom in a small world."""

from dataclasses import dataclass, field
from random import Random
from typing import Any

# What a pair shows: nothing, all but the status message, everything.
NOTHING, WITHOUT_STATUS, EVERYTHING = range(3)


@dataclass
class RoomModel:
    """A room: its members, and what conditions say about it."""

    room_id: str
    members: set[str] = field(default_factory=set)
    encrypted: bool = False
    history_visibility: str = "shared"

    def meets(self, conditions: dict[str, Any]) -> bool:
        """Whether it meets all conditions."""
        return all(self._meets(name, value) for name, value in conditions.items())

    def _meets(self, name: str, value: Any) -> bool:
        match name:
            case "at_most":
                return len(self.members) <= int(value)
            case "at_least":
                return len(self.members) >= int(value)
            case _:
                return bool(getattr(self, name) == value)


@dataclass(frozen=True)
class RuleModel:
    """One rule. No senders or no recipients: everyone. No relation: none is required."""

    kind: str
    senders: frozenset[str] | None
    recipients: frozenset[str] | None
    relation: Any

    @property
    def withholds_from_all(self) -> bool:
        """Whether it denies or hides without naming anybody."""
        return self.kind != "allow" and self.senders is None and self.recipients is None

    def matches(self, sender: str, recipient: str, rooms: list[RoomModel]) -> bool:
        """Whether it matches a pair."""
        if self.senders is not None and sender not in self.senders:
            return False
        if self.recipients is not None and recipient not in self.recipients:
            return False
        if self.relation is None:
            return True
        shared = [room for room in rooms if {sender, recipient} <= room.members]
        if isinstance(self.relation, bool):
            return bool(shared) is self.relation
        return any(room.meets(self.relation) for room in shared)

    def written(self, number: int) -> dict[str, Any]:
        """The rule as a policy has it."""
        body: dict[str, Any] = {}
        for key, users in (("from", self.senders), ("to", self.recipients)):
            if users is not None:
                body[key] = sorted(users)
            elif self.relation is None:
                body[key] = "everyone"
        if self.relation is not None:
            body["share_room"] = self.relation
        if self.kind == "hide":
            body["fields"] = ["status_msg"]
        return {"name": f"rule {number}", self.kind: body}


def shows(rules: list[RuleModel], rooms: list[RoomModel], sender: str, recipient: str) -> int:
    """What the policy shows of a sender to a recipient."""
    kinds = {rule.kind for rule in rules if rule.matches(sender, recipient, rooms)}
    if sender == recipient or "allow" not in kinds or "deny" in kinds:
        return NOTHING
    return WITHOUT_STATUS if "hide" in kinds else EVERYTHING


def random_rules(random: Random, users: list[str]) -> list[RuleModel]:
    """Some rules, of which the first lets some see each other."""

    def some() -> frozenset[str] | None:
        return random.choice([None, frozenset(random.sample(users, random.randint(1, 3)))])

    def relation() -> Any:
        conditions = [
            {"at_most": random.randint(2, 5)},
            {"at_least": random.randint(2, 4)},
            {"encrypted": random.random() < 0.5},
            {"history_visibility": random.choice(["shared", "joined"])},
            {"at_most": 4, "history_visibility": "shared"},
        ]
        return random.choice([None, True, True, False, *conditions])

    first = RuleModel("allow", None, None, random.choice([True, {"at_most": 4}]))
    kinds = random.choices(["allow", "deny", "hide"], k=random.randint(1, 4))
    others = [RuleModel(kind, some(), some(), relation()) for kind in kinds]
    # Such a rule would also cover the users by whom tests know that a policy is active.
    return [first, *(rule for rule in others if not rule.withholds_from_all)]

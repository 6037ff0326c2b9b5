"""Sets with room-mates, by the table that the clients in all languages share."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from given_rooms import GivenRooms
from google.protobuf.json_format import ParseDict
from presence_router.v1.presence_pb2 import Hide
from presence_router.v1.room_mates_pb2 import RoomMates
from presence_router.v1.sets_pb2 import Everyone, SetDifference, SetExpression, SetList
from sets import NONE, SOME, NoVerdict, Sets

TABLE = yaml.safe_load((Path(__file__).parents[1] / "room_mates.yaml").read_text())
SUBJECT, SHARE_ROOM = TABLE["subject"], GivenRooms(TABLE["rooms"]).share_room
ANY_ROOM = SetExpression(room_mates=RoomMates())


def read(expression: dict[str, Any]) -> SetExpression:
    return ParseDict(expression, SetExpression())


@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: case["about"])
def test_a_case(case: dict[str, Any]) -> None:
    expression = read(case["expression"])
    contains = Sets(SHARE_ROOM).compile(expression)
    found = {user: contains(user, SUBJECT) for user in TABLE["users"]}
    expected = dict.fromkeys(TABLE["users"], False)
    expected |= dict.fromkeys(case.get("in", ()), True)
    expected |= dict.fromkeys(case.get("unknown", ()))
    assert found == expected
    # A hide applies unless its set is false.
    hides = Sets(SHARE_ROOM).compile_hides([Hide(users=expression, fields=[2])], SUBJECT)
    hidden = {user: bool(hides.for_user(user, "online")) for user in TABLE["users"]}
    assert hidden == {user: value is not False for user, value in expected.items()}


@pytest.mark.parametrize("expression", TABLE["no_verdict"])
def test_an_expression_without_a_clear_meaning_is_no_verdict(expression: dict[str, Any]) -> None:
    with pytest.raises(NoVerdict):
        Sets(SHARE_ROOM).compile(read(expression))


def test_room_mates_are_no_verdict_without_the_function() -> None:
    with pytest.raises(NoVerdict):
        Sets().compile(ANY_ROOM)


def test_room_mates_may_be_on_every_server() -> None:
    sets = Sets(SHARE_ROOM)
    nobody_of_x = SetList(sets=[ANY_ROOM, SetExpression(server="y")])
    no_room = SetDifference(any=SetExpression(everyone=Everyone()), **{"except": ANY_ROOM})
    for expression, coverage in [
        (ANY_ROOM, SOME),
        (SetExpression(difference=no_room), SOME),
        (SetExpression(all_of=nobody_of_x), NONE),
    ]:
        assert sets.compile_coverage(expression)("x") == coverage

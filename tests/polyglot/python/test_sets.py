"""The set evaluator, as the contract defines it; edits of sets; and hides."""

import re
from itertools import product

import pytest
from presence_router.v1.presence_pb2 import Hide
from presence_router.v1.route_states_pb2 import SetEdit, SetPart
from presence_router.v1.sets_pb2 import Everyone, SetDifference, SetExpression, SetList, UserList
from sets import ALL, FIELDS, NONE, SOME, NoVerdict, Sets, glob

EVERYONE = SetExpression(everyone=Everyone())
# The user that an answer is about, which is of no matter to sets without rooms.
ANN = "@ann:x"


def users(*ids: str) -> SetExpression:
    return SetExpression(users=UserList(user_ids=ids))


def minus(whole: SetExpression, without: SetExpression) -> SetExpression:
    return SetExpression(difference=SetDifference(any=whole, **{"except": without}))


def part(set_id: int, *ids: str, last: bool = True) -> SetPart:
    return SetPart(id=set_id, users=UserList(user_ids=ids), last=last)


def test_globs_do_what_their_definition_says() -> None:
    def words(letters: str, longest: int) -> list[str]:
        return ["".join(w) for n in range(longest + 1) for w in product(letters, repeat=n)]

    for pattern in words("ab*?", 4):
        regex = re.compile(pattern.replace("*", ".*").replace("?", "."))
        for text in words("ab", 5):
            assert glob(pattern, text) == bool(regex.fullmatch(text)), (pattern, text)


@pytest.mark.parametrize(
    ("expression", "inside", "outside"),
    [
        (users("@a:x"), "@a:x", "@a:X"),
        (EVERYONE, "@never:met.before:8448", None),
        (SetExpression(server="*.x"), "@a:b.x", "@b.x:y"),
        (SetExpression(server="x:8448"), "@a:x:8448", "@a:x"),
        (SetExpression(match="@*-bot:x"), "@a-bot:x", "@a:b-bot:x"),
        (SetExpression(match="@??:x"), "@é:x", "@e:x"),
        (SetExpression(any_of=SetList(sets=[users("@a:x"), users("@b:x")])), "@b:x", "@c:x"),
        (SetExpression(any_of=SetList()), None, "@a:x"),
        (SetExpression(all_of=SetList(sets=[EVERYONE, users("@b:x")])), "@b:x", "@c:x"),
        (minus(EVERYONE, SetExpression(server="x")), "@a:y", "@a:x"),
    ],
)
def test_each_kind(expression: SetExpression, inside: str | None, outside: str | None) -> None:
    contains = Sets().compile(expression)
    assert inside is None or contains(inside, ANN)
    assert outside is None or not contains(outside, ANN)


@pytest.mark.parametrize(
    "expression",
    [
        SetExpression(),
        SetExpression(match="nocolon"),
        SetExpression(all_of=SetList()),
        SetExpression(set_id=7),
        minus(EVERYONE, SetExpression()),
        # An error, although everyone is in the union anyway.
        SetExpression(any_of=SetList(sets=[EVERYONE, SetExpression()])),
        # A kind of a later version of the contract.
        SetExpression.FromString(b"\xfa\x06\x00"),
    ],
)
def test_an_expression_without_a_clear_meaning_is_no_verdict(expression: SetExpression) -> None:
    with pytest.raises(NoVerdict):
        Sets().compile(expression)


def test_a_set_is_there_when_it_is_complete() -> None:
    sets = Sets()
    sets.define(part(1, "@a:x", last=False))
    with pytest.raises(NoVerdict):
        sets[1]
    sets.define(part(1, "@b:x"))
    assert sets[1]("@a:x", ANN) and sets[1]("@b:x", ANN)


def test_a_removal_counts_at_once_and_an_addition_when_changed() -> None:
    sets = Sets()
    sets.define(part(1, "@a:x"))
    sets.define(SetPart(id=2, expression=minus(SetExpression(set_id=1), users("@z:x")), last=True))
    sets.edit(SetEdit(id=1, removed=["@a:x"], added=["@b:x", "@z:x"]))
    assert not sets[2]("@a:x", ANN) and not sets[2]("@b:x", ANN)
    sets.changed()
    assert sets[2]("@b:x", ANN) and not sets[2]("@z:x", ANN)


def test_a_retired_set_is_gone() -> None:
    sets = Sets()
    sets.define(part(1, "@a:x"))
    sets.retire(1)
    with pytest.raises(NoVerdict):
        sets[1]
    with pytest.raises(NoVerdict):
        sets.edit(SetEdit(id=1, added=["@b:x"]))


def server(glob: str) -> SetExpression:
    return SetExpression(server=glob)


@pytest.mark.parametrize(
    ("expression", "coverage"),
    [
        (users("@a:x"), SOME),
        (users("@a:y"), NONE),
        (EVERYONE, ALL),
        (server("*"), ALL),
        (server("y"), NONE),
        (SetExpression(match="@*:x"), ALL),
        (SetExpression(match="@*-bot:x"), SOME),
        (SetExpression(match="@*-bot:y"), NONE),
        (SetExpression(any_of=SetList()), NONE),
        (SetExpression(any_of=SetList(sets=[users("@a:x"), server("x")])), ALL),
        (SetExpression(all_of=SetList(sets=[users("@a:x"), server("x")])), SOME),
        (SetExpression(all_of=SetList(sets=[EVERYONE, server("y")])), NONE),
        (minus(EVERYONE, server("x")), NONE),
        (minus(EVERYONE, users("@a:x")), SOME),
        (minus(EVERYONE, server("y")), ALL),
    ],
)
def test_a_coverage_of_a_server(expression: SetExpression, coverage: int) -> None:
    sets = Sets()
    assert sets.compile_coverage(expression)("x") == coverage
    sets.define(SetPart(id=1, expression=expression, last=True))
    assert sets.compile_coverage(SetExpression(set_id=1))("x") == coverage


def test_hides_add_up_for_a_user_and_for_a_server() -> None:
    sets = Sets()
    sets.define(part(1, "@joe:x"))
    hides = sets.compile_hides(
        [
            Hide(users=SetExpression(set_id=1), fields=[2], unless_presence=["busy", "online"]),
            Hide(users=server("x"), fields=[3]),
            Hide(users=minus(EVERYONE, server("x")), fields=[4]),
            Hide(users=SetExpression(match="@*-bot:y"), fields=[1]),
            Hide(users=users("@a:later"), fields=[99]),
            Hide(users=users("@a:none")),
        ],
        ANN,
    )
    assert hides.for_user("@joe:x", "offline") == {2, 3}
    assert hides.for_user("@joe:x", "online") == {3}
    assert hides.for_user("@a:y", "online") == {4}
    # A hidden presence hides all fields, and so does an unknown field or none.
    for user in ("@a-bot:y", "@a:later", "@a:none"):
        assert hides.for_user(user, "online") == FIELDS
    # One copy for all users of a server.
    assert hides.for_server("x", "offline") == {2, 3}
    assert hides.for_server("x", "busy") == {3}
    assert hides.for_server("y", "online") == FIELDS
    assert hides.for_server("z", "online") == {4}
    assert Sets().compile_hides([], ANN).for_server("x", "online") == frozenset()
    # An edit of a list applies to hides as well.
    sets.edit(SetEdit(id=1, removed=["@joe:x"]))
    assert hides.for_server("x", "offline") == {3}


def test_a_hide_for_an_unknown_kind_of_set_is_no_verdict() -> None:
    with pytest.raises(NoVerdict):
        Sets().compile_hides([Hide(fields=[2])], ANN)

// Sets with room-mates, by the table that the clients in all languages share.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { parse } from 'yaml';

import { v1 } from './contract.mjs';
import { GivenRooms } from './given_rooms.mjs';
import { NONE, NoVerdict, SOME, Sets } from './sets.mjs';

const table = parse(readFileSync(new URL('../room_mates.yaml', import.meta.url), 'utf8'));
const { subject, users, cases, no_verdict: noVerdict } = table;
const rooms = new GivenRooms(table.rooms);
const shareRoom = (one, other, conditions) => rooms.shareRoom(one, other, conditions);
const sets = new Sets(shareRoom);

/** An expression of the table as the stream delivers it. */
const read = (expression) =>
  v1.SetExpression.deserialize(v1.SetExpression.serialize(expression));

for (const { about, expression, in: inside = [], unknown = [] } of cases) {
  test(`a set: ${about}`, () => {
    const set = sets.compile(read(expression));
    const expected = users.map((user) => (unknown.includes(user) ? undefined : inside.includes(user)));
    assert.deepEqual(users.map((user) => set(user, subject)), expected);
    // A hide applies unless its set is false.
    const hide = { users: read(expression), fields: ['PRESENCE_FIELD_STATUS_MSG'], unlessPresence: [] };
    const hides = sets.compileHides([hide], subject);
    const hidden = users.map((user) => hides.forUser(user, 'online').length > 0);
    assert.deepEqual(hidden, expected.map((value) => value !== false));
  });
}

test('an expression without a clear meaning is no verdict', () => {
  for (const expression of noVerdict) {
    assert.throws(() => sets.compile(read(expression)), NoVerdict, JSON.stringify(expression));
  }
});

test('room-mates are no verdict without the function', () => {
  assert.throws(() => new Sets().compile(read({ roomMates: {} })), NoVerdict);
});

test('room-mates may be on every server', () => {
  for (const [expression, expected] of [
    [{ roomMates: {} }, SOME],
    [{ difference: { any: { everyone: {} }, except: { roomMates: {} } } }, SOME],
    [{ allOf: { sets: [{ roomMates: {} }, { server: 'y' }] } }, NONE],
  ]) {
    assert.equal(sets.compileCoverage(read(expression))('x'), expected);
  }
});

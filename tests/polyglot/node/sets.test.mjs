// The set evaluator, as the contract defines it; edits of sets; and hides.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ALL, FIELDS, NONE, NoVerdict, SOME, Sets, glob } from './sets.mjs';

const users = (...userIds) => ({ expression: 'users', users: { userIds } });
const everyone = { expression: 'everyone', everyone: {} };
const server = (pattern) => ({ expression: 'server', server: pattern });
const match = (pattern) => ({ expression: 'match', match: pattern });
const anyOf = (...sets) => ({ expression: 'anyOf', anyOf: { sets } });
const allOf = (...sets) => ({ expression: 'allOf', allOf: { sets } });
const setId = (id) => ({ expression: 'setId', setId: id });
const minus = (any, except) => ({ expression: 'difference', difference: { any, except } });
const part = (id, last, ...ids) => ({ id, last, content: 'users', ...users(...ids) });

/** All words of some letters up to a length. */
function words(letters, longest) {
  if (longest === 0) return [''];
  const shorter = words(letters, longest - 1);
  return ['', ...shorter.flatMap((word) => letters.map((letter) => letter + word))];
}

test('globs do what their definition says', () => {
  const texts = words(['a', 'b'], 5);
  for (const pattern of words(['a', 'b', '*', '?'], 4)) {
    const definition = new RegExp(`^${pattern.replaceAll('?', '.').replaceAll('*', '.*')}$`);
    for (const text of texts) {
      assert.equal(glob(pattern, text), definition.test(text), `${pattern} ${text}`);
    }
  }
});

test('each kind contains the right users', () => {
  for (const [expression, inside, outside] of [
    [users('@a:x'), '@a:x', '@a:X'],
    [everyone, '@never:met.before:8448'],
    [server('*.x'), '@a:b.x', '@b.x:y'],
    [server('x:8448'), '@a:x:8448', '@a:x'],
    [match('@*-bot:x'), '@a-bot:x', '@a:b-bot:x'],
    [match('@??:x'), '@é:x', '@e:x'],
    [anyOf(users('@a:x'), users('@b:x')), '@b:x', '@c:x'],
    [anyOf(), undefined, '@a:x'],
    [allOf(everyone, users('@b:x')), '@b:x', '@c:x'],
    [minus(everyone, server('x')), '@a:y', '@a:x'],
  ]) {
    const set = new Sets().compile(expression);
    if (inside) assert.ok(set(inside), inside);
    if (outside) assert.ok(!set(outside), outside);
  }
});

test('an expression without a clear meaning is no verdict', () => {
  // A kind of a later version: the decoder drops it, and nothing is set.
  const later = {};
  for (const expression of [
    null,
    later,
    match('nocolon'),
    allOf(),
    setId('7'),
    minus(everyone, null),
    // An error, although everyone is in the union anyway.
    anyOf(everyone, later),
  ]) {
    assert.throws(() => new Sets().compile(expression), NoVerdict);
  }
});

test('a set is there when it is complete', () => {
  const sets = new Sets();
  sets.define(part('1', false, '@a:x'));
  assert.throws(() => sets.get('1'), NoVerdict);
  sets.define(part('1', true, '@b:x'));
  assert.ok(sets.get('1')('@a:x') && sets.get('1')('@b:x'));
});

test('a removal counts at once, and an addition when `Changed` is there', () => {
  const sets = new Sets();
  sets.define(part('1', true, '@a:x'));
  const expression = minus(setId('1'), users('@z:x'));
  sets.define({ id: '2', last: true, content: 'expression', expression });
  const set = sets.get('2');
  sets.edit({ id: '1', removed: ['@a:x'], added: ['@b:x', '@z:x'] });
  assert.ok(!set('@a:x') && !set('@b:x'));
  sets.changed();
  assert.ok(set('@b:x') && !set('@z:x'));
});

test('a retired set is gone', () => {
  const sets = new Sets();
  sets.define(part('1', true, '@a:x'));
  sets.retire('1');
  assert.throws(() => sets.get('1'), NoVerdict);
  assert.throws(() => sets.edit({ id: '1', removed: [], added: ['@b:x'] }), NoVerdict);
});

test('a coverage of a server', () => {
  for (const [expression, expected] of [
    [users('@a:x'), SOME],
    [users('@a:y'), NONE],
    [everyone, ALL],
    [server('*'), ALL],
    [server('y'), NONE],
    [match('@*:x'), ALL],
    [match('@*-bot:x'), SOME],
    [match('@*-bot:y'), NONE],
    [anyOf(), NONE],
    [anyOf(users('@a:x'), server('x')), ALL],
    [allOf(users('@a:x'), server('x')), SOME],
    [allOf(everyone, server('y')), NONE],
    [minus(everyone, server('x')), NONE],
    [minus(everyone, users('@a:x')), SOME],
    [minus(everyone, server('y')), ALL],
  ]) {
    const sets = new Sets();
    assert.equal(sets.compileCoverage(expression)('x'), expected);
    sets.define({ id: '1', last: true, content: 'expression', expression });
    assert.equal(sets.compileCoverage(setId('1'))('x'), expected);
  }
});

test('hides add up for a user and for a server', () => {
  const [status, active, now] = FIELDS.slice(1);
  const sets = new Sets();
  sets.define(part('1', true, '@joe:x'));
  const hide = (users, fields, unlessPresence = []) => ({ users, fields, unlessPresence });
  const hides = sets.compileHides([
    hide(setId('1'), [status], ['busy', 'online']),
    hide(server('x'), [active]),
    hide(minus(everyone, server('x')), [now]),
    hide(match('@*-bot:y'), [FIELDS[0]]),
    hide(users('@a:later'), [99]),
    hide(users('@a:none'), []),
  ], '@ann:x');
  assert.deepEqual(hides.forUser('@joe:x', 'offline'), [status, active]);
  assert.deepEqual(hides.forUser('@joe:x', 'online'), [active]);
  assert.deepEqual(hides.forUser('@a:y', 'online'), [now]);
  // A hidden presence hides all fields, and so does an unknown field or none.
  for (const user of ['@a-bot:y', '@a:later', '@a:none']) {
    assert.deepEqual(hides.forUser(user, 'online'), FIELDS);
  }
  // One copy for all users of a server.
  assert.deepEqual(hides.forServer('x', 'offline'), [status, active]);
  assert.deepEqual(hides.forServer('x', 'busy'), [active]);
  assert.deepEqual(hides.forServer('y', 'online'), FIELDS);
  assert.deepEqual(hides.forServer('z', 'online'), [now]);
  assert.deepEqual(new Sets().compileHides([], '@ann:x').forServer('x', 'online'), []);
  // An edit of a list applies to hides as well.
  sets.edit({ id: '1', removed: ['@joe:x'], added: [] });
  assert.deepEqual(hides.forServer('x', 'offline'), [active]);
});

test('a hide for an unknown kind of set is no verdict', () => {
  const hides = [{ users: null, fields: FIELDS, unlessPresence: [] }];
  assert.throws(() => new Sets().compileHides(hides, '@ann:x'), NoVerdict);
});

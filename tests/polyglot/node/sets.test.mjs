// The set evaluator, by the contract's words; and what the stream may do to
// sets.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { NoVerdict, Sets, glob } from './sets.mjs';

const users = (...userIds) => ({ expression: 'users', users: { userIds } });
const everyone = { expression: 'everyone', everyone: {} };
const server = (pattern) => ({ expression: 'server', server: pattern });
const match = (pattern) => ({ expression: 'match', match: pattern });
const anyOf = (...sets) => ({ expression: 'anyOf', anyOf: { sets } });
const allOf = (...sets) => ({ expression: 'allOf', allOf: { sets } });
const setId = (id) => ({ expression: 'setId', setId: id });
const minus = (any, except) => ({ expression: 'difference', difference: { any, except } });
const part = (id, last, ...ids) => ({ id, last, content: 'users', ...users(...ids) });

/** All words over some letters up to a length. */
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

test('each kind holds whom it says', () => {
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

test('what has no clear meaning is no verdict', () => {
  // A kind of a later version: the decoder drops it, and nothing is set.
  const later = {};
  for (const expression of [
    null,
    later,
    match('nocolon'),
    allOf(),
    setId('7'),
    minus(everyone, null),
    // Everyone is in, whatever the other is; and yet.
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

// Every scenario file, by unary calls and by the stream.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { promisify } from 'node:util';

import { parse } from 'yaml';

import { Daemon, connect, openRouter } from './daemon.mjs';
import { GivenRooms } from './given_rooms.mjs';
import { Answer } from './router.mjs';
import { ROOM_CAPABILITIES, Sets } from './sets.mjs';

const folder = new URL('../../scenarios/', import.meta.url);
const files = readdirSync(folder).filter((file) => file.endsWith('.yaml'));

test('the scenarios are where they were', () => assert.ok(files.length >= 13));

for (const file of files) {
  const { policy, users, rooms: given, callers } = parse(readFileSync(new URL(file, folder), 'utf8'));

  test(`${file} by unary calls`, async (t) => {
    const client = connect(t, (await Daemon.serving(t, policy)).address);
    for (const caller of callers.map((one) => readCaller(one, given))) {
      const answers = new Answers(users);
      const destinations = await byStates(client, caller, answers);
      await byInterest(client, caller, answers);
      answers.check(caller);
      assert.deepEqual(destinations.sorted(), lists(caller.destinations));
    }
  });

  test(`${file} by the stream`, async (t) => {
    const { address } = await Daemon.serving(t, policy);
    for (const caller of callers.map((one) => readCaller(one, given))) {
      const { serverNames, shareRoom, capabilities } = caller;
      // Without the function, the router itself must state nothing.
      const rooms = shareRoom ? [shareRoom, capabilities] : [];
      const router = await openRouter(t, address, serverNames, ...rooms);
      const answers = new Answers(users);
      const audiences = await router.audiences(users);
      users.forEach((sender, i) => answers.addAudience(sender, audiences[i]));
      for (const recipient of users) answers.addInterest(recipient, await router.interest(recipient));
      answers.check(caller);
    }
  });
}

/** A caller of a scenario. One without capabilities has no function: it is an older client. */
function readCaller({ server_names: serverNames, capabilities: names, ...expected }, rooms) {
  names ??= rooms ? undefined : [];
  const capabilities =
    names?.map((name) => `CAPABILITY_ROOM_${name.replace('room_', '').toUpperCase()}`) ?? ROOM_CAPABILITIES;
  const given = new GivenRooms(rooms ?? {});
  const shareRoom = (one, other, conditions) => given.shareRoom(one, other, conditions);
  return { serverNames, capabilities, shareRoom: capabilities.length ? shareRoom : undefined, ...expected };
}

/** The answers to one caller, about some users. */
class Answers {
  #audiences = new Lists();
  #interests = new Lists();
  // The fields of an online sender that a recipient does not see: by answers about senders,
  // and by answers about recipients.
  #hides = [{}, {}];

  constructor(users) {
    this.users = users;
  }

  /** Adds an answer about a sender, or a part of it. */
  addAudience(sender, answer) {
    const recipients = this.users.filter((user) => answer.has(user));
    this.#audiences.add(sender, recipients);
    recipients.forEach((recipient) =>
      this.#addHidden(0, sender, recipient, answer.hides.forUser(recipient, 'online')),
    );
  }

  /** Adds an answer about a recipient, or a part of it. */
  addInterest(recipient, answer) {
    const senders = this.users.filter((user) => answer.has(user));
    this.#interests.add(recipient, senders);
    senders.forEach((sender) =>
      this.#addHidden(1, sender, recipient, answer.hides.forUser(sender, 'online')),
    );
  }

  #addHidden(side, sender, recipient, fields) {
    if (fields.length === 0) return;
    this.#hides[side][sender] ??= {};
    this.#hides[side][sender][recipient] = [...fields].sort();
  }

  /** Compares the answers with the right ones. */
  check({ audiences, interests, hides = {} }) {
    assert.deepEqual(this.#audiences.sorted(), lists(audiences));
    assert.deepEqual(this.#interests.sorted(), lists(interests));
    const toFields = (names) => names.map((name) => `PRESENCE_FIELD_${name.toUpperCase()}`).sort();
    const expected = mapValues(hides, (recipients) => mapValues(recipients, toFields));
    assert.deepEqual(this.#hides, [expected, expected]);
  }
}

function mapValues(object, convert) {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, convert(value)]));
}

/** The other users of each user, without the users who have none. */
class Lists extends Map {
  add(user, others) {
    if (others.length > 0) this.set(user, new Set([...(this.get(user) ?? []), ...others]));
  }

  sorted() {
    return Object.fromEntries([...this].sort().map(([user, others]) => [user, [...others].sort()]));
  }
}

function lists(expected = {}) {
  const all = new Lists();
  for (const [user, others] of Object.entries(expected)) all.add(user, others);
  return all.sorted();
}

async function byStates(client, { serverNames, capabilities, shareRoom }, answers) {
  const states = answers.users.map((userId) => ({ userId }));
  const ask = promisify(client.getUsersForStates.bind(client));
  const { recipients, openRecipients, hides } = await ask({ serverNames, states, capabilities });
  const destinations = new Lists();
  answers.users.forEach((sender, index) => {
    const about = (entries) => entries.filter(({ stateIndexes }) => stateIndexes.includes(index));
    const sets = new Sets(shareRoom);
    const hidden = sets.compileHides(about(hides).map(({ hide }) => hide), sender);
    const listed = new Set(about(recipients).map(({ userId }) => userId));
    assert.ok(!listed.has(sender), 'spelled-out lists are without the user itself');
    answers.addAudience(sender, new Answer(sender, (user) => listed.has(user), hidden));
    for (const open of about(openRecipients)) {
      answers.addAudience(sender, new Answer(sender, sets.compile(open.recipients), hidden));
      destinations.add(sender, open.destinations);
    }
  });
  return destinations;
}

async function byInterest(client, { serverNames, capabilities, shareRoom }, answers) {
  const ask = promisify(client.getInterestedUsers.bind(client));
  for (const userId of answers.users) {
    const { userIds, openSenders, hides } = await ask({ serverNames, userId, capabilities });
    assert.ok(!userIds.includes(userId), 'spelled-out lists are without the user itself');
    const sets = new Sets(shareRoom);
    const hidden = sets.compileHides(hides, userId);
    answers.addInterest(userId, new Answer(userId, (user) => userIds.includes(user), hidden));
    if (openSenders) {
      answers.addInterest(userId, new Answer(userId, sets.compile(openSenders), hidden));
    }
  }
}

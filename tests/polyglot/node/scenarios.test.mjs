// Every scenario file, by unary calls and by the stream.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { promisify } from 'node:util';

import { parse } from 'yaml';

import { Daemon, connect, openRouter } from './daemon.mjs';
import { Sets } from './sets.mjs';

const folder = new URL('../../scenarios/', import.meta.url);
const files = readdirSync(folder).filter((file) => file.endsWith('.yaml'));

test('the scenarios are where they were', () => assert.ok(files.length >= 13));

for (const file of files) {
  const { policy, users, callers } = parse(readFileSync(new URL(file, folder), 'utf8'));

  test(`${file} by unary calls`, async (t) => {
    const client = connect(t, (await Daemon.serving(t, policy)).address);
    for (const { server_names: serverNames, ...expected } of callers) {
      const [audiences, destinations] = await byStates(client, serverNames, users);
      assert.deepEqual(audiences.sorted(), lists(expected.audiences));
      assert.deepEqual(destinations.sorted(), lists(expected.destinations));
      const interests = await byInterest(client, serverNames, users);
      assert.deepEqual(interests.sorted(), lists(expected.interests));
    }
  });

  test(`${file} by the stream`, async (t) => {
    const { address } = await Daemon.serving(t, policy);
    for (const { server_names: serverNames, ...expected } of callers) {
      const router = await openRouter(t, address, serverNames);
      const [audiences, interests] = [new Lists(), new Lists()];
      const answers = await router.audiences(users);
      users.forEach((sender, i) => audiences.add(sender, users, (user) => answers[i].has(user)));
      for (const recipient of users) {
        const answer = await router.interest(recipient);
        interests.add(recipient, users, (user) => answer.has(user));
      }
      assert.deepEqual(audiences.sorted(), lists(expected.audiences));
      assert.deepEqual(interests.sorted(), lists(expected.interests));
    }
  });
}

/** The other users of each user, without the users who have none. */
class Lists extends Map {
  add(user, others, has = () => true) {
    const found = others.filter(has);
    if (found.length > 0) this.set(user, new Set([...(this.get(user) ?? []), ...found]));
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

/** An open set of a unary answer without the user that it is for. */
const without = (user, set) => (other) => other !== user && set(other);

async function byStates(client, serverNames, users) {
  const states = users.map((userId) => ({ userId }));
  const ask = promisify(client.getUsersForStates.bind(client));
  const { recipients, openRecipients } = await ask({ serverNames, states });
  const [audiences, destinations] = [new Lists(), new Lists()];
  for (const { userId, stateIndexes } of recipients) {
    for (const sender of stateIndexes.map((index) => users[index])) {
      assert.notEqual(userId, sender, 'spelled-out lists are without the user itself');
      audiences.add(sender, [userId]);
    }
  }
  for (const open of openRecipients) {
    const set = new Sets().compile(open.recipients);
    for (const sender of open.stateIndexes.map((index) => users[index])) {
      audiences.add(sender, users, without(sender, set));
      destinations.add(sender, open.destinations);
    }
  }
  return [audiences, destinations];
}

async function byInterest(client, serverNames, users) {
  const ask = promisify(client.getInterestedUsers.bind(client));
  const interests = new Lists();
  for (const userId of users) {
    const { userIds, openSenders } = await ask({ serverNames, userId });
    assert.ok(!userIds.includes(userId), 'spelled-out lists are without the user itself');
    interests.add(userId, userIds);
    if (openSenders) interests.add(userId, users, without(userId, new Sets().compile(openSenders)));
  }
  return interests;
}

// Kept answers follow the daemon: a reload, a restart, and every message that the
// contract has for changes, also those that no daemon sends on request.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import grpc from '@grpc/grpc-js';

import { v1 } from './contract.mjs';
import { Daemon, openRouter } from './daemon.mjs';
import { FIELDS } from './sets.mjs';

const [ANN, JOE, SUE] = ['@ann:example.org', '@joe:example.org', '@sue:example.org'];
const ANY = '@any:example.org';

const shownTo = (recipient) =>
  JSON.stringify({ rules: [{ name: 'r', allow: { from: ANN, to: recipient } }] });

test('a reload is followed', async (t) => {
  const daemon = await Daemon.serving(t, shownTo(JOE));
  const router = await openRouter(t, daemon.address, ['example.org']);
  const before = router.revision;
  await expect(router, JOE, SUE);

  const changed = router.follow();
  daemon.reload(shownTo(SUE));
  await changed;
  assert.notEqual(router.revision, before);
  await expect(router, SUE, JOE);
  assert.ok((await router.interest(SUE)).has(ANN));
  assert.ok(!(await router.interest(JOE)).has(ANN));
});

test('a router that only asks notices the end of the stream', async (t) => {
  const daemon = await Daemon.serving(t, shownTo(JOE));
  const router = await openRouter(t, daemon.address, ['example.org']);
  await expect(router, JOE, SUE);
  await Promise.all([assert.rejects(router.follow()), daemon.end('SIGKILL')]);
  await assert.rejects(router.audiences([ANN]));
  await daemon.start(shownTo(JOE));
});

test('a restart is survived', async (t) => {
  const daemon = await Daemon.serving(t, shownTo(JOE));
  const router = await openRouter(t, daemon.address, ['example.org']);
  const before = router.revision;
  await expect(router, JOE, SUE);

  const ended = assert.rejects(router.follow());
  await daemon.end('SIGKILL');
  await ended;
  await daemon.start(shownTo(SUE));
  // The revision is of another history: `Reset`, or Joe would stay.
  await router.connect();
  assert.notEqual(router.revision, before);
  await expect(router, SUE, JOE);
});

test('a hide that begins between two streams is known', async (t) => {
  const daemon = await Daemon.serving(t, shownTo(JOE));
  const router = await openRouter(t, daemon.address, ['example.org']);
  const other = await openRouter(t, daemon.address, ['example.org']);
  await expect(router, JOE, SUE);

  router.close();
  const changed = other.follow();
  const policy = JSON.parse(shownTo(JOE));
  policy.rules.push({ name: 'h', hide: { from: ANN, to: JOE, fields: ['status_msg'] } });
  daemon.reload(JSON.stringify(policy));
  await changed;
  await router.connect();
  const [audience] = await router.audiences([ANN]);
  assert.deepEqual(audience.hides.forUser(JOE, 'online'), ['PRESENCE_FIELD_STATUS_MSG']);
});

async function expect(router, inside, outside) {
  const [audience] = await router.audiences([ANN]);
  assert.ok(audience.has(inside), inside);
  assert.ok(!audience.has(outside), outside);
}

// --- messages that no daemon sends on request

/** A server that answers each request, also `Open`, with the messages that a test wrote. */
async function scripted(t, ...script) {
  const server = new grpc.Server();
  server.addService(v1.PresenceRouterService.service, {
    routeStates(call) {
      call.on('data', () => script.shift().forEach((message) => call.write(message)));
      call.on('end', () => call.end());
    },
  });
  t.after(() => server.forceShutdown());
  const port = await new Promise((resolve, reject) => {
    const bound = (why, port) => (why ? reject(why) : resolve(port));
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), bound);
  });
  return openRouter(t, `127.0.0.1:${port}`, ['example.org']);
}

const opened = (milliseconds = 60_000) => {
  const interval = { seconds: Math.floor(milliseconds / 1000), nanos: (milliseconds % 1000) * 1e6 };
  return [{ opened: { revision: 'e:1', heartbeatInterval: interval } }];
};

/** A set, in one part for each user. */
const defined = (id, ...ids) =>
  ids.map((user, i) => ({
    setPart: { id, users: { userIds: [user] }, last: i === ids.length - 1 },
  }));

const delivered = (batchId, recipientsSetId, ...hides) => ({
  deliveries: {
    batchId,
    revision: 'e:1',
    deliveries: [{ recipientsSetId, stateIndexes: [0], hides }],
  },
});

const sees = (queryId, sendersSetId) => ({
  interestAnswer: { queryId, revision: 'e:1', sendersSetId },
});

test('`Changed` voids the answers "nobody" about the users that it names', async (t) => {
  const users = (...userIds) => ({ users: { userIds } });
  const gained = [{ senders: users(ANN), recipients: users(SUE) }];
  const router = await scripted(
    t,
    opened(),
    [...defined(1, JOE), delivered(1, 1)],
    [sees(2, 0)],
    [
      sees(3, 0),
      { setEdit: { id: 1, removed: [JOE], added: [SUE] } },
      { changed: { revision: 'e:2', gained } },
    ],
    // The router asks about Sue again. It keeps the answer about Ann, which refers to a set,
    // and that about Joe, whom `Changed` does not name.
    [...defined(2, ANN), sees(4, 2)],
  );
  await expect(router, JOE, SUE);
  await router.interest(JOE);
  const changed = router.follow();
  await router.interest(SUE);
  await changed;
  assert.equal(router.revision, 'e:2');
  await expect(router, SUE, JOE);
  assert.ok(!(await router.interest(JOE)).has(ANN));
  assert.ok((await router.interest(SUE)).has(ANN));
});

test('a retired set voids the answers that refer to it', async (t) => {
  const retired = (id) => ({ setRetired: { id } });
  const hide = { users: { setId: 2 } };
  const router = await scripted(
    t,
    opened(),
    [...defined(1, JOE), ...defined(2, JOE), delivered(1, 1, hide)],
    [retired(1), ...defined(3, ANN), sees(2, 3)],
    [...defined(4, SUE), delivered(3, 4, hide)],
    [retired(2), sees(4, 0)],
    [...defined(5, JOE), delivered(5, 5)],
  );
  await expect(router, JOE, SUE);
  assert.ok((await router.interest(SUE)).has(ANN));
  await expect(router, SUE, JOE);
  await router.interest(JOE);
  // The set of a hide was retired.
  await expect(router, JOE, SUE);
  assert.ok((await router.interest(SUE)).has(ANN), 'her set is another');
});

test('a stream that ends amid edits voids answers', async (t) => {
  const router = await scripted(
    t,
    opened(),
    [...defined(1, JOE), delivered(1, 1)],
    // Joe moves to another list; the stream ends before it defines this list.
    [{ setEdit: { id: 1, removed: [JOE] } }, { interestAnswer: { queryId: 2, revision: 'e:1' } }],
    opened(),
    [...defined(1, JOE), delivered(1, 1)],
  );
  await expect(router, JOE, SUE);
  await router.interest(SUE);
  router.close();
  await router.connect();
  await expect(router, JOE, SUE);
});

test('an answer outlives a stream if nothing changes', async (t) => {
  const router = await scripted(t, opened(), [...defined(1, JOE), delivered(1, 1)], opened());
  await expect(router, JOE, SUE);
  router.close();
  await router.connect();
  await expect(router, JOE, SUE);
});

test('an answer is remembered until then', async (t) => {
  const router = await scripted(t, opened(), [...defined(1, JOE), delivered(1, 1)]);
  await expect(router, JOE, SUE);
  await expect(router, JOE, SUE);
});

test('a hide is kept, and an unknown field hides all', async (t) => {
  const hide = (user, fields, unlessPresence = []) => ({
    users: { users: { userIds: [user] } },
    fields,
    unlessPresence,
  });
  // The contract does not allow a hide without fields.
  const hides = [hide(JOE, [2], ['online']), hide(SUE, [2, 99]), hide(ANY, [])];
  const router = await scripted(t, opened(), [
    ...defined(1, JOE, SUE),
    delivered(1, 1, ...hides),
  ]);
  const [audience] = await router.audiences([ANN]);
  assert.deepEqual(audience.hides.forUser(JOE, 'online'), []);
  assert.deepEqual(audience.hides.forUser(JOE, 'busy'), ['PRESENCE_FIELD_STATUS_MSG']);
  assert.deepEqual(audience.hides.forUser(SUE, 'online'), FIELDS);
  assert.deepEqual(audience.hides.forUser(ANY, 'online'), FIELDS);
});

test('an unknown message ends the stream', async (t) => {
  const router = await scripted(t, opened(), [{}]);
  await assert.rejects(router.audiences([ANN]), /does not know/);
  await assert.rejects(router.audiences([ANN]), /does not know/);
});

test('silence means unreachable', async (t) => {
  const router = await scripted(t, opened(50), []);
  await assert.rejects(router.audiences([ANN]), /heartbeats/);
});

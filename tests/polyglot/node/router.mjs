// A homeserver's end of RouteStates. It keeps each answer until a change.
//
// It shows the duties of a client. The rules are in the contract, at RouteStatesResponse.
// Any rejection means "no verdict".

import grpc from '@grpc/grpc-js';

import { Hides, NoVerdict, ROOM_CAPABILITIES, references, Sets } from './sets.mjs';

/** The daemon refused a request. The stream goes on. */
export class Refused extends Error {}

const nobody = () => false;

/** The recipients of a sender, or the senders of a recipient. */
export class Answer {
  #user;
  #set;

  constructor(user, set = nobody, hides = new Hides(), sets = []) {
    this.#user = user;
    this.#set = set;
    /** The fields that must not be shown to some of these users. */
    this.hides = hides;
    /** The ids of the sets that the answer refers to. None for "nobody". */
    this.sets = sets;
  }

  has(other) {
    // Team-mates share one set, so it may contain the user that it is for.
    // An unknown fact about rooms shows nothing.
    return other !== this.#user && this.#set(other, this.#user) === true;
  }
}

/** One stream at a time, and the answers that are still valid. */
export class Router {
  /** Revision of all kept answers. */
  revision = '';

  #client;
  #serverNames;
  #shareRoom;
  #capabilities;
  #audiences = new Map(); // by sender
  #interests = new Map(); // by recipient
  // Of the stream.
  #call;
  #sets;
  #asked; // by id: the users that a request is about, and its promise
  #lastId;
  #waiting; // promises of the open stream, then of changes
  #silence; // ends the stream, unless a message comes
  #ended;

  /** `shareRoom` is the function of `Sets`, and the capabilities are what it evaluates. */
  constructor(client, serverNames, shareRoom, roomCapabilities = ROOM_CAPABILITIES) {
    this.#client = client;
    this.#serverNames = serverNames;
    this.#shareRoom = shareRoom;
    // Without the function, the daemon must send nothing about rooms.
    this.#capabilities = shareRoom ? roomCapabilities : [];
    this.#sets = new Sets(shareRoom);
  }

  /**
   * Opens the stream, for the first time or after it has ended. Answers outlive their
   * stream if nothing changed in between. Sets do not.
   */
  async connect() {
    // A user who moved from one list to another is in neither list now, and no `Changed`
    // will name this user.
    if (this.#sets.areEdited()) this.#forget();
    [this.#sets, this.#asked, this.#lastId] = [new Sets(this.#shareRoom), new Map(), 0];
    [this.#waiting, this.#ended] = [[], undefined];
    const call = this.#client.routeStates(new grpc.Metadata({ waitForReady: true }));
    this.#call = call;
    call.on('data', (message) => this.#call === call && this.#read(message));
    call.on('error', (why) => this.#call === call && this.#end(why));
    call.on('end', () => this.#call === call && this.#end(new NoVerdict('the stream ended')));
    this.#expectWithin(10_000);

    const [serverNames, capabilities] = [this.#serverNames, this.#capabilities];
    call.write({ open: { serverNames, resumeRevision: this.revision, capabilities } });
    await this.#next();
  }

  /** Ends the stream. */
  close() {
    this.#end(new NoVerdict('closed'));
  }

  /** Returns the recipients of each sender, in the order of the senders. */
  async audiences(senders) {
    // A change while we ask may void answers that we had.
    for (;;) {
      if (this.#ended) throw this.#ended;
      const unknown = senders.filter((user) => !this.#audiences.has(user));
      if (unknown.length === 0) return senders.map((user) => this.#audiences.get(user));
      const states = unknown.map((userId) => ({ userId }));
      await this.#ask(unknown, (id) => ({ batch: { batchId: id, states } }));
    }
  }

  /** Returns the senders that a recipient may see. */
  async interest(recipient) {
    if (this.#ended) throw this.#ended;
    while (!this.#interests.has(recipient)) {
      await this.#ask([recipient], (id) => ({ interest: { queryId: id, userId: recipient } }));
    }
    return this.#interests.get(recipient);
  }

  /** Waits for the next change, which changes the revision. */
  async follow() {
    await this.#next();
  }

  #next() {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(this.#ended);
      this.#waiting.push({ resolve, reject });
    });
  }

  #ask(users, request) {
    this.#lastId += 1;
    const id = String(this.#lastId);
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(this.#ended);
      this.#asked.set(id, { users, resolve, reject });
      this.#call.write(request(id));
    });
  }

  #answered(id) {
    const asked = this.#asked.get(id);
    if (!asked) throw new NoVerdict(`an answer to a request that was not sent: ${id}`);
    this.#asked.delete(id);
    return asked;
  }

  #tell() {
    for (const { resolve } of this.#waiting.splice(0)) resolve();
  }

  #expectWithin(milliseconds) {
    clearTimeout(this.#silence);
    const end = () => this.#end(new NoVerdict('two heartbeats are missing'));
    this.#silence = setTimeout(end, milliseconds);
  }

  #end(why) {
    if (this.#ended) return;
    this.#ended = why;
    clearTimeout(this.#silence);
    this.#call.cancel();
    for (const { reject } of [...this.#asked.values(), ...this.#waiting.splice(0)]) reject(why);
    this.#asked.clear();
  }

  #read(message) {
    if (this.#ended) return;
    this.#silence.refresh();
    try {
      this.#take(message);
    } catch (why) {
      this.#end(why);
    }
  }

  #take(message) {
    switch (message.message) {
      case 'opened': {
        const { revision, heartbeatInterval } = message.opened;
        this.#expectWithin(2000 * heartbeatInterval.seconds + heartbeatInterval.nanos / 500_000);
        this.revision ||= revision;
        // Otherwise the changes since that revision come next. But this client does not
        // write answers out, and their sets ended with their stream.
        if (this.revision === revision) this.#tell();
        else this.#forget();
        break;
      }
      case 'setPart':
        this.#sets.define(message.setPart);
        break;
      case 'setEdit':
        this.#sets.edit(message.setEdit);
        break;
      case 'setRetired': {
        const { id } = message.setRetired;
        this.#sets.retire(id);
        const refers = (answer) => answer.sets.includes(id);
        drop(this.#audiences, refers);
        drop(this.#interests, refers);
        break;
      }
      case 'changed':
        this.#sets.changed();
        for (const pairs of [...message.changed.gained, ...message.changed.lost]) {
          dropNobodies(this.#audiences, this.#sets.compile(pairs.senders));
          dropNobodies(this.#interests, this.#sets.compile(pairs.recipients));
        }
        this.revision = message.changed.revision;
        this.#tell();
        break;
      case 'reset':
        this.#sets = new Sets(this.#shareRoom);
        this.#forget();
        this.revision = message.reset.revision;
        this.#tell();
        break;
      case 'deliveries':
        this.#rememberBatch(message.deliveries);
        break;
      case 'interestAnswer': {
        const { queryId, sendersSetId, hides } = message.interestAnswer;
        const { users, resolve } = this.#answered(queryId);
        this.#interests.set(users[0], this.#answer(users[0], sendersSetId, hides));
        resolve();
        break;
      }
      case 'requestError': {
        const { request, message: why } = message.requestError;
        this.#answered(message.requestError[request]).reject(new Refused(why));
        break;
      }
      case 'heartbeat':
        break;
      default:
        // An unknown message may change sets, so none of them is certain now.
        throw new NoVerdict('a message that this client does not know');
    }
  }

  #rememberBatch({ batchId, deliveries }) {
    const { users, resolve } = this.#answered(batchId);
    const answers = new Map(users.map((user) => [user, new Answer(user)]));
    for (const { recipientsSetId, stateIndexes, hides } of deliveries) {
      for (const user of stateIndexes.map((index) => users[index])) {
        answers.set(user, this.#answer(user, recipientsSetId, hides));
      }
    }
    answers.forEach((answer, user) => this.#audiences.set(user, answer));
    resolve();
  }

  #answer(user, setId, hides) {
    const set = setId === '0' ? undefined : this.#sets.get(setId);
    const ids = set ? [setId] : [];
    const hidden = hides.flatMap(({ users }) => references(users));
    return new Answer(user, set, this.#sets.compileHides(hides, user), [...ids, ...hidden]);
  }

  #forget() {
    this.#audiences.clear();
    this.#interests.clear();
  }
}

function drop(answers, ends) {
  for (const [user, answer] of answers) if (ends(answer, user)) answers.delete(user);
}

/**
 * An answer that refers to a set ends with its set, and not by `Changed`, whose sets never
 * refer to rooms.
 */
function dropNobodies(answers, named) {
  drop(answers, (answer, user) => answer.sets.length === 0 && named(user, user));
}

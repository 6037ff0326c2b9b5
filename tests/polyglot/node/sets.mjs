// Sets of Matrix users as presence-router sends them, and the fields that an answer hides.
//
// Copy this file unchanged. It imports nothing. It needs messages as @grpc/proto-loader
// makes them with `oneofs`, `enums: String` and `longs: String`, as in contract.mjs. It
// follows sets.proto, presence.proto and the rules at RouteStatesResponse. It throws
// `NoVerdict` for everything that it does not understand: drop the whole answer then, and
// show no presence beyond your own.

/** Every field that can be hidden: values of `PresenceField`. */
export const FIELDS = [
  'PRESENCE_FIELD_PRESENCE',
  'PRESENCE_FIELD_STATUS_MSG',
  'PRESENCE_FIELD_LAST_ACTIVE_TS',
  'PRESENCE_FIELD_CURRENTLY_ACTIVE',
];

/** The kinds of conditions on rooms that this file knows. */
const CONDITIONS = {
  atMost: ({ notCounting }) => notCounting.every((pattern) => pattern.includes(':')),
  atLeast: ({ notCounting }) => notCounting.every((pattern) => pattern.includes(':')),
  encrypted: () => true,
  joinRule: ({ values }) => values.length > 0,
  historyVisibility: ({ values }) => values.length > 0,
  rooms: ({ values }) => values.length > 0,
  notRooms: ({ values }) => values.length > 0,
  space: (space) => space !== '',
  presenceSharing: (hint) =>
    ['ROOM_PRESENCE_SHARING_SUGGEST', 'ROOM_PRESENCE_SHARING_FORBID'].includes(hint),
};

/** The capabilities of a homeserver that evaluates every kind of condition. */
export const ROOM_CAPABILITIES = [
  'CAPABILITY_ROOM_MATES',
  'CAPABILITY_ROOM_AT_MOST',
  'CAPABILITY_ROOM_AT_LEAST',
  'CAPABILITY_ROOM_ENCRYPTED',
  'CAPABILITY_ROOM_JOIN_RULE',
  'CAPABILITY_ROOM_HISTORY_VISIBILITY',
  'CAPABILITY_ROOM_ROOMS',
  'CAPABILITY_ROOM_NOT_ROOMS',
  'CAPABILITY_ROOM_SPACE',
  'CAPABILITY_ROOM_PRESENCE_SHARING',
];

/** The coverage of a server's users by a set: none, some or all of them. */
export const [NONE, SOME, ALL] = [0, 1, 2];

/** The daemon sent something that this client does not understand. */
export class NoVerdict extends Error {}

/**
 * The sets that one stream has defined. They end with their stream. A unary answer refers
 * to no set by id: use `new Sets(shareRoom).compile(expression)`.
 *
 * A set is a function `(user, subject)` that returns true for its users; the subject is the
 * user that the answer is about. It returns undefined if a fact about rooms decides that the
 * homeserver lacks.
 *
 * `shareRoom(one, other, conditions)` returns true if two users share a room that meets all
 * conditions, and undefined if the homeserver cannot tell, or does not know one of the kinds
 * of condition. Without this function, state no capability about rooms.
 */
export class Sets {
  #shareRoom;
  #complete = new Map();
  #coverages = new Map();
  // Lists of users, edited in place, so that every set that refers to a list sees the edit.
  #lists = new Map();
  #added = new Map();

  constructor(shareRoom) {
    this.#shareRoom = shareRoom;
  }

  /** Returns a complete set. */
  get(id) {
    const set = this.#complete.get(id);
    if (!set) throw new NoVerdict(`set ${id} is not defined`);
    return set;
  }

  /** Adds a part of a set. The set is complete with the part that has `last`. */
  define(part) {
    let set;
    let coverage;
    if (part.content === 'users') {
      const list = this.#lists.get(part.id) ?? new Set();
      this.#lists.set(part.id, list);
      part.users.userIds.forEach((user) => list.add(user));
      set = (user) => list.has(user);
      coverage = coveredByList(list);
    } else {
      set = this.compile(part.expression);
      coverage = this.compileCoverage(part.expression);
    }
    if (part.last) {
      this.#complete.set(part.id, set);
      this.#coverages.set(part.id, coverage);
    }
  }

  /** Removes users at once, and keeps added users until `Changed` arrives. */
  edit({ id, added, removed }) {
    const list = this.#lists.get(id);
    if (!list) throw new NoVerdict(`set ${id} is not a list of users`);
    const waiting = this.#added.get(id) ?? new Set();
    this.#added.set(id, waiting);
    for (const user of removed) {
      list.delete(user);
      waiting.delete(user);
    }
    added.forEach((user) => waiting.add(user));
  }

  /** Adds the users of all edits since the last `Changed`. */
  changed() {
    for (const [id, users] of this.#added) {
      users.forEach((user) => this.#lists.get(id).add(user));
    }
    this.#added.clear();
  }

  /** Returns true if an edit has no `Changed` yet. */
  areEdited() {
    return this.#added.size > 0;
  }

  /** Drops a set. Drop the answers that use it as well. */
  retire(id) {
    const maps = [this.#complete, this.#coverages, this.#lists, this.#added];
    for (const sets of maps) sets.delete(id);
  }

  /**
   * Turns an expression into a function of the user. Checks the whole expression first:
   * an unknown kind must be an error, even if another part of the expression decides
   * about most users.
   */
  compile(expression) {
    const all = (sets) => sets.map((set) => this.compile(set));
    switch (expression?.expression) {
      case 'users': {
        const users = new Set(expression.users.userIds);
        return (user) => users.has(user);
      }
      case 'everyone':
        return () => true;
      case 'server':
        return matching('*', expression.server);
      case 'match': {
        const [localparts, servers] = split(expression.match);
        if (servers === undefined) throw new NoVerdict('a pattern without `:`');
        return matching(localparts, servers);
      }
      case 'setId':
        return this.get(expression.setId);
      case 'anyOf': {
        const sets = all(expression.anyOf.sets);
        return (user, subject) => anyOf(sets, (set) => set(user, subject));
      }
      case 'allOf': {
        const sets = all(expression.allOf.sets);
        if (sets.length === 0) throw new NoVerdict('an intersection of nothing');
        return (user, subject) => allOf(sets, (set) => set(user, subject));
      }
      case 'difference': {
        const [whole, without] = all([expression.difference.any, expression.difference.except]);
        return (user, subject) => subtract(whole(user, subject), without(user, subject));
      }
      case 'roomMates': {
        if (!this.#shareRoom) throw new NoVerdict('no function tells who shares a room');
        const { allOf: conditions } = expression.roomMates;
        if (!conditions.every(isKnown)) throw new NoVerdict('no condition that this client knows');
        return (user, subject) => this.#shareRoom(user, subject, conditions);
      }
      default:
        throw new NoVerdict('no set that this client knows');
    }
  }

  /**
   * Turns an expression that `compile` accepts into a function of the server. The result
   * may be `SOME` for a set without a user of this server, and never `NONE` for a set that
   * has one.
   */
  compileCoverage(expression) {
    const all = (sets) => sets.map((set) => this.compileCoverage(set));
    switch (expression.expression) {
      case 'users':
        return coveredByList(expression.users.userIds);
      case 'everyone':
        return () => ALL;
      case 'server':
        return coveredByPattern('*', expression.server);
      case 'match':
        return coveredByPattern(...split(expression.match));
      case 'setId':
        return this.#coverages.get(expression.setId);
      case 'anyOf': {
        const coverages = all(expression.anyOf.sets);
        return (server) => Math.max(NONE, ...coverages.map((coverage) => coverage(server)));
      }
      case 'allOf': {
        const coverages = all(expression.allOf.sets);
        return (server) => Math.min(ALL, ...coverages.map((coverage) => coverage(server)));
      }
      case 'roomMates':
        return () => SOME;
      default: {
        const [whole, without] = all([expression.difference.any, expression.difference.except]);
        return (server) => Math.min(whole(server), ALL - without(server));
      }
    }
  }

  /** Compiles the hides of the answer about a subject. */
  compileHides(hides, subject) {
    return new Hides(
      subject,
      hides.map((hide) => ({
        hide,
        has: this.compile(hide.users),
        coverage: this.compileCoverage(hide.users),
      })),
    );
  }
}

/** The hides of one answer. Both methods return an array of the fields to remove. */
export class Hides {
  #subject;
  #hides;

  constructor(subject, hides = []) {
    this.#subject = subject;
    this.#hides = hides;
  }

  /**
   * The fields hidden between the subject of the answer and this user: a recipient if the
   * answer is about states, a sender if it is about interest. `presence` is the sender's.
   * If the result contains `PRESENCE_FIELD_PRESENCE`, it contains all fields: deliver the
   * sender as offline, without status and activity.
   */
  forUser(user, presence) {
    // Also a hide applies that depends on an unknown fact.
    const applies = ({ has }) => has(user, this.#subject) !== false;
    return hiddenFields(this.#hides.filter(applies), presence);
  }

  /**
   * The fields to remove from the one copy of a state that goes to a server. The server
   * may show this copy to all of its users. So the result is the union over every user
   * there, known or not.
   */
  forServer(server, presence) {
    return hiddenFields(this.#hides.filter(({ coverage }) => coverage(server) !== NONE), presence);
  }
}

/** The union of the fields of some hides, for a sender with this presence. */
function hiddenFields(hides, presence) {
  const hidden = new Set();
  for (const { fields, unlessPresence } of hides.map(({ hide }) => hide)) {
    if (unlessPresence.includes(presence)) continue;
    // An unknown field means all fields. So does a hide without fields, which this version
    // of the contract does not allow.
    if (fields.length === 0 || !fields.every((field) => FIELDS.includes(field))) return FIELDS;
    fields.forEach((field) => hidden.add(field));
  }
  return hidden.has('PRESENCE_FIELD_PRESENCE') ? FIELDS : [...hidden];
}

/** Returns true if the function returns true for one item, and false if for none. */
export function anyOf(items, evaluate) {
  let result = false;
  for (const item of items) {
    const value = evaluate(item);
    if (value) return true;
    if (value === undefined) result = undefined;
  }
  return result;
}

/** Returns true if the function returns true for all items, and false if not for one. */
export function allOf(items, evaluate) {
  let result = true;
  for (const item of items) {
    const value = evaluate(item);
    if (value === false) return false;
    if (value === undefined) result = undefined;
  }
  return result;
}

/** Returns true for a user in one set and not in the other. */
function subtract(whole, without) {
  return allOf([whole, without === undefined ? undefined : !without], (value) => value);
}

/** Returns false for a condition of a later version, and for one without a meaning. */
function isKnown({ condition: kind, ...condition }) {
  return Object.hasOwn(CONDITIONS, kind) && CONDITIONS[kind](condition[kind]);
}

/** The coverage by a list of users, which may change later. */
function coveredByList(users) {
  return (server) => {
    for (const user of users) if (split(user)[1] === server) return SOME;
    return NONE;
  };
}

/** The coverage by two globs. Every user id begins with `@`. */
function coveredByPattern(localparts, servers) {
  const found = ['*', '@*'].includes(localparts) ? ALL : SOME;
  return (server) => (glob(servers, server) ? found : NONE);
}

/**
 * Ids of the sets that an expression refers to. Once one of them is retired, the answer
 * that the expression is part of is void.
 */
export function references(expression) {
  switch (expression?.expression) {
    case 'setId':
      return [expression.setId];
    case 'anyOf':
    case 'allOf':
      return expression[expression.expression].sets.flatMap(references);
    case 'difference':
      return [expression.difference.any, expression.difference.except].flatMap(references);
    default:
      return [];
  }
}

/**
 * The users that two globs match: one for the text before the first `:`, and one for the
 * server.
 */
export function matching(localparts, servers) {
  return (user) => {
    const [before, server] = split(user);
    return server !== undefined && glob(localparts, before) && glob(servers, server);
  };
}

/** Splits a text at its first `:`. */
export function split(text) {
  const at = text.indexOf(':');
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

const [STAR, ONE] = Buffer.from('*?');

/** Returns true if the whole text matches: `?` is one byte, `*` any run of bytes. */
export function glob(pattern, text) {
  const want = Buffer.from(pattern);
  const have = Buffer.from(text);
  // The index of the last `*`, and the index in the text behind its run. On a mismatch
  // only this run grows: a longer run of an earlier `*` never helps.
  let [w, h, star, behind] = [0, 0, -1, 0];
  while (h < have.length) {
    if (want[w] === STAR) {
      [star, behind] = [w, h];
      w += 1;
    } else if (w < want.length && (want[w] === ONE || want[w] === have[h])) {
      w += 1;
      h += 1;
    } else if (star >= 0) {
      behind += 1;
      [w, h] = [star + 1, behind];
    } else {
      return false;
    }
  }
  return want.subarray(w).every((byte) => byte === STAR);
}

// Sets of Matrix users as presence-router sends them: who is in, who is not.
//
// Copy this file. It needs messages as @grpc/proto-loader makes them (with
// `oneofs`) and nothing else, and follows sets.proto and the rules at
// RouteStatesResponse. Whatever it cannot tell for certain throws `NoVerdict`:
// the whole answer is void then, and nobody sees more than the homeserver would
// show without the daemon.

/** There is no telling what the daemon means. */
export class NoVerdict extends Error {}

/**
 * The sets that one stream has defined. They die with it. A unary answer refers
 * to none: `new Sets().compile(expression)`.
 *
 * A set is a function that says whether a user is in it.
 */
export class Sets {
  #complete = new Map();
  // Lists of users. Edited in place: who refers to one sees the edit.
  #lists = new Map();
  #added = new Map();

  /** A set that is complete. */
  get(id) {
    const set = this.#complete.get(id);
    if (!set) throw new NoVerdict(`set ${id} is not defined`);
    return set;
  }

  /** Takes a part of a set, which is there once it has the last one. */
  define(part) {
    let set;
    if (part.content === 'users') {
      const list = this.#lists.get(part.id) ?? new Set();
      this.#lists.set(part.id, list);
      part.users.userIds.forEach((user) => list.add(user));
      set = (user) => list.has(user);
    } else {
      set = this.compile(part.expression);
    }
    if (part.last) this.#complete.set(part.id, set);
  }

  /** Removes at once; what is added waits for `Changed`. */
  edit({ id, added, removed }) {
    const list = this.#lists.get(id);
    if (!list) throw new NoVerdict(`set ${id} is no list of users`);
    const waiting = this.#added.get(id) ?? new Set();
    this.#added.set(id, waiting);
    for (const user of removed) {
      list.delete(user);
      waiting.delete(user);
    }
    added.forEach((user) => waiting.add(user));
  }

  /** Lets in who was added. */
  changed() {
    for (const [id, users] of this.#added) {
      users.forEach((user) => this.#lists.get(id).add(user));
    }
    this.#added.clear();
  }

  /** Whether edits wait for their `Changed`. */
  areEdited() {
    return this.#added.size > 0;
  }

  /** Drops a set. Answers that use it are void. */
  retire(id) {
    for (const sets of [this.#complete, this.#lists, this.#added]) sets.delete(id);
  }

  /**
   * Makes an expression a function of the user. All of it is understood before
   * anybody is asked about: a kind that is unknown must not hide behind one that
   * happens to decide.
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
        return (user) => sets.some((set) => set(user));
      }
      case 'allOf': {
        const sets = all(expression.allOf.sets);
        if (sets.length === 0) throw new NoVerdict('an intersection of nothing');
        return (user) => sets.every((set) => set(user));
      }
      case 'difference': {
        const [whole, without] = all([expression.difference.any, expression.difference.except]);
        return (user) => whole(user) && !without(user);
      }
      default:
        throw new NoVerdict('no set that this client knows');
    }
  }
}

/** Users by two globs: for what is before the first `:`, and for the server. */
function matching(localparts, servers) {
  return (user) => {
    const [before, server] = split(user);
    return server !== undefined && glob(localparts, before) && glob(servers, server);
  };
}

/** What is before and behind the first `:`. */
function split(text) {
  const at = text.indexOf(':');
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

const [STAR, ONE] = Buffer.from('*?');

/** Whether all of a text matches. By bytes: `?` is one, `*` any run of them. */
export function glob(pattern, text) {
  const want = Buffer.from(pattern);
  const have = Buffer.from(text);
  // Where the last `*` stands, and where the text goes on behind its run. To let
  // that run grow is enough: no earlier one can do what it cannot.
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

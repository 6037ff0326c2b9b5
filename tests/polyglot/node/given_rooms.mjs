// The rooms of a scenario, and the facts about them that its homeserver has.

import { meetsAny } from './rooms.mjs';

/** Rooms in the form of the scenario files: each room by its id. */
export class GivenRooms {
  #rooms;

  constructor(rooms) {
    const read = ([roomId, room]) => ({ users: new Set(room.members), facts: readRoom(roomId, room) });
    this.#rooms = Object.entries(rooms).map(read);
  }

  /** Returns true if the users share a room that meets all conditions. */
  shareRoom(one, other, conditions) {
    const shared = this.#rooms.filter(({ users }) => users.has(one) && users.has(other));
    return meetsAny(shared.map(({ facts }) => facts), conditions);
  }
}

/** Returns the facts about a room, without the members of a partial one. */
function readRoom(roomId, room) {
  return {
    roomId,
    members: room.partial ? undefined : room.members,
    encrypted: room.encrypted ?? false,
    joinRule: room.join_rule ?? 'invite',
    historyVisibility: room.history_visibility ?? 'shared',
    presenceSharing: room.presence_sharing ?? '',
    isInSpace: (space) => (room.spaces ?? []).includes(space),
  };
}

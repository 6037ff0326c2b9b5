// Conditions on rooms, evaluated over the facts that a homeserver has.
//
// Copy this file as you copy sets.mjs. It follows room_mates.proto. A room is an object that
// you fill from what your homeserver has in memory; a fact is undefined if the homeserver
// does not know it:
//
//   roomId
//   members            users with membership `join`, neither invited nor knocking;
//                      undefined while the state of the room is partial
//   encrypted          true if the room has an `m.room.encryption` event
//   joinRule           `invite` if the room has no such event
//   historyVisibility  `shared` if the room has no such event
//   presenceSharing    the hint of MSC4495, `suggest` or `forbid`; '' if the room has none
//   isInSpace(space)   true if the space lists the room as a child, with a non-empty `via`
//
// Every answer has three values: undefined says that a fact is missing which decides.

import { allOf, anyOf, glob, matching, split } from './sets.mjs';

/** Returns true if one of the rooms, which two users share, meets all conditions. */
export function meetsAny(rooms, conditions) {
  return anyOf(rooms, (room) => allOf(conditions, (condition) => meets(room, condition)));
}

/** Returns true if a room meets a condition. */
export function meets(room, condition) {
  switch (condition.condition) {
    case 'atMost': {
      const most = Number(condition.atMost.members);
      return whenKnown(countMembers(room, condition.atMost), (count) => count <= most);
    }
    case 'atLeast': {
      const least = Number(condition.atLeast.members);
      return whenKnown(countMembers(room, condition.atLeast), (count) => count >= least);
    }
    case 'encrypted':
      return whenKnown(room.encrypted, (encrypted) => encrypted === condition.encrypted);
    case 'joinRule':
      return whenKnown(room.joinRule, (rule) => condition.joinRule.values.includes(rule));
    case 'historyVisibility': {
      const { values } = condition.historyVisibility;
      return whenKnown(room.historyVisibility, (value) => values.includes(value));
    }
    case 'rooms':
      return condition.rooms.values.some((pattern) => glob(pattern, room.roomId));
    case 'notRooms':
      return !condition.notRooms.values.some((pattern) => glob(pattern, room.roomId));
    case 'space':
      return room.isInSpace(condition.space);
    case 'presenceSharing': {
      const suggests = condition.presenceSharing === 'ROOM_PRESENCE_SHARING_SUGGEST';
      return whenKnown(room.presenceSharing, (hint) => hint === (suggests ? 'suggest' : 'forbid'));
    }
    default:
      return undefined;
  }
}

/** Counts the members who match none of the patterns. */
function countMembers({ members }, { notCounting }) {
  const patterns = notCounting.map((pattern) => matching(...split(pattern)));
  const counts = (user) => !patterns.some((matches) => matches(user));
  return members?.filter(counts).length;
}

function whenKnown(fact, evaluate) {
  return fact === undefined ? undefined : evaluate(fact);
}

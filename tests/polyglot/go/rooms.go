// Conditions on rooms, evaluated over the facts that a homeserver has.
//
// Copy this file as you copy sets.go. It follows room_mates.proto.

package polyglot

import (
	"slices"
	"strings"

	pb "polyglot/gen/presence_router/v1"
)

// Room is the facts about one room, from what your homeserver has in memory. A method
// returns false, or Unknown, for a fact that the homeserver does not know.
type Room interface {
	ID() string
	// Members are the users with membership join, neither invited nor knocking. Not
	// known while the state of the room is partial.
	Members() ([]string, bool)
	// Encrypted is Yes for a room with an m.room.encryption event.
	Encrypted() Truth
	// JoinRule is "invite" for a room without such an event.
	JoinRule() (string, bool)
	// HistoryVisibility is "shared" for a room without such an event.
	HistoryVisibility() (string, bool)
	// IsIn is Yes if the space lists the room as a child, with a non-empty via.
	IsIn(space string) Truth
	// PresenceSharing is the hint of MSC4495, "suggest" or "forbid", and empty for a
	// room without one.
	PresenceSharing() (string, bool)
}

// MeetsAny tells if one of the rooms, which two users share, meets all conditions.
func MeetsAny(rooms []Room, conditions []*pb.RoomCondition) Truth {
	return anyOf(rooms, func(room Room) Truth {
		return allOf(conditions, func(condition *pb.RoomCondition) Truth { return meets(room, condition) })
	})
}

func meets(room Room, condition *pb.RoomCondition) Truth {
	switch kind := condition.GetCondition().(type) {
	case *pb.RoomCondition_AtMost:
		count, known := countMembers(room, kind.AtMost.NotCounting)
		return whenKnown(known, count <= kind.AtMost.Members)
	case *pb.RoomCondition_AtLeast:
		count, known := countMembers(room, kind.AtLeast.NotCounting)
		return whenKnown(known, count >= kind.AtLeast.Members)
	case *pb.RoomCondition_Encrypted:
		if kind.Encrypted {
			return room.Encrypted()
		}
		return Yes - room.Encrypted()
	case *pb.RoomCondition_JoinRule:
		rule, known := room.JoinRule()
		return whenKnown(known, slices.Contains(kind.JoinRule.Values, rule))
	case *pb.RoomCondition_HistoryVisibility:
		visibility, known := room.HistoryVisibility()
		return whenKnown(known, slices.Contains(kind.HistoryVisibility.Values, visibility))
	case *pb.RoomCondition_Rooms:
		return truth(matchesAny(room.ID(), kind.Rooms.Values))
	case *pb.RoomCondition_NotRooms:
		return truth(!matchesAny(room.ID(), kind.NotRooms.Values))
	case *pb.RoomCondition_Space:
		return room.IsIn(kind.Space)
	case *pb.RoomCondition_PresenceSharing:
		hint, known := room.PresenceSharing()
		if kind.PresenceSharing == pb.RoomPresenceSharing_ROOM_PRESENCE_SHARING_SUGGEST {
			return whenKnown(known, hint == "suggest")
		}
		return whenKnown(known, hint == "forbid")
	default:
		return Unknown
	}
}

// countMembers counts the members who match none of the patterns.
func countMembers(room Room, notCounting []string) (uint64, bool) {
	members, known := room.Members()
	var patterns []Set
	for _, pattern := range notCounting {
		localparts, servers, _ := strings.Cut(pattern, ":")
		patterns = append(patterns, matching(localparts, servers))
	}
	var count uint64
	for _, user := range members {
		if anyOf(patterns, func(matches Set) Truth { return matches(user, "") }) == No {
			count++
		}
	}
	return count, known
}

func matchesAny(id string, globs []string) bool {
	return slices.ContainsFunc(globs, func(pattern string) bool { return glob(pattern, id) })
}

func whenKnown(known, value bool) Truth {
	if !known {
		return Unknown
	}
	return truth(value)
}

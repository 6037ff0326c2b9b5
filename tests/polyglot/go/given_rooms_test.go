// The rooms of a scenario, and the facts about them that its homeserver has.

package polyglot

import (
	"slices"

	pb "polyglot/gen/presence_router/v1"
)

// givenRooms are rooms in the form of the scenario files: each room by its id.
type givenRooms map[string]givenRoom

type givenRoom struct {
	Users        []string `yaml:"members"`
	IsEncrypted  bool     `yaml:"encrypted"`
	Rule         string   `yaml:"join_rule"`
	Visibility   string   `yaml:"history_visibility"`
	Spaces       []string `yaml:"spaces"`
	SharingHint  string   `yaml:"presence_sharing"`
	StatePartial bool     `yaml:"partial"`
}

// shareRoom tells if the users share a room that meets all conditions.
func (g givenRooms) shareRoom(one, other string, conditions []*pb.RoomCondition) Truth {
	var shared []Room
	for id, room := range g {
		if slices.Contains(room.Users, one) && slices.Contains(room.Users, other) {
			shared = append(shared, namedRoom{id, room})
		}
	}
	return MeetsAny(shared, conditions)
}

type namedRoom struct {
	id string
	givenRoom
}

func (r namedRoom) ID() string { return r.id }

func (r namedRoom) Members() ([]string, bool) { return r.Users, !r.StatePartial }

func (r namedRoom) Encrypted() Truth { return truth(r.IsEncrypted) }

func (r namedRoom) JoinRule() (string, bool) { return orDefault(r.Rule, "invite"), true }

func (r namedRoom) HistoryVisibility() (string, bool) { return orDefault(r.Visibility, "shared"), true }

func (r namedRoom) IsIn(space string) Truth { return truth(slices.Contains(r.Spaces, space)) }

func (r namedRoom) PresenceSharing() (string, bool) { return r.SharingHint, true }

func orDefault(value, unset string) string {
	if value == "" {
		return unset
	}
	return value
}

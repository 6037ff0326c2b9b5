// Sets of Matrix users as presence-router sends them, and the fields that an answer
// hides.
//
// Copy this file, and change two lines: the name of the package, and the import path
// of pb, which is the go_package of your buf.gen.yaml. It imports the generated
// messages and the standard library only. It follows sets.proto, presence.proto and
// the rules at RouteStatesResponse. It returns an error for everything that it does
// not understand: drop the whole answer then, and show no presence beyond your own.

package polyglot

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	pb "polyglot/gen/presence_router/v1"
)

// Set tells if a user is in a set of the answer about a subject.
type Set func(user, subject string) Truth

// Truth is the answer to a question that a missing fact about rooms may decide. As numbers,
// a union is the maximum, an intersection the minimum, and a complement Yes minus it.
type Truth int

const (
	No Truth = iota
	Unknown
	Yes
)

// ShareRoom tells if two users share a room that meets all conditions. Unknown: the
// homeserver cannot tell, or does not know one of the kinds of condition.
type ShareRoom func(one, other string, conditions []*pb.RoomCondition) Truth

// RoomCapabilities are those of a homeserver that evaluates every kind of condition.
var RoomCapabilities = []pb.Capability{
	pb.Capability_CAPABILITY_ROOM_MATES,
	pb.Capability_CAPABILITY_ROOM_AT_MOST,
	pb.Capability_CAPABILITY_ROOM_AT_LEAST,
	pb.Capability_CAPABILITY_ROOM_ENCRYPTED,
	pb.Capability_CAPABILITY_ROOM_JOIN_RULE,
	pb.Capability_CAPABILITY_ROOM_HISTORY_VISIBILITY,
	pb.Capability_CAPABILITY_ROOM_ROOMS,
	pb.Capability_CAPABILITY_ROOM_NOT_ROOMS,
	pb.Capability_CAPABILITY_ROOM_SPACE,
	pb.Capability_CAPABILITY_ROOM_PRESENCE_SHARING,
}

// Sets are the sets that one stream has defined. They end with their stream. A unary
// answer refers to no set by id: compile its expressions with new sets.
type Sets struct {
	// Nil: room-mates are no verdict. State no capability about rooms then.
	shareRoom ShareRoom
	complete  map[uint64]Set
	coverages map[uint64]coverageFunc
	// Lists of users, edited in place, so that every set that refers to a list sees
	// the edit.
	lists map[uint64]users
	added map[uint64]users
}

type users map[string]struct{}

// NewSets returns the sets of a new stream: none. The function may be nil.
func NewSets(shareRoom ShareRoom) *Sets {
	return &Sets{
		shareRoom, map[uint64]Set{}, map[uint64]coverageFunc{}, map[uint64]users{}, map[uint64]users{},
	}
}

// Get returns a complete set.
func (s *Sets) Get(id uint64) (Set, error) {
	if set, ok := s.complete[id]; ok {
		return set, nil
	}
	return nil, fmt.Errorf("set %d is not defined", id)
}

// Define adds a part of a set. The set is complete with its last part.
func (s *Sets) Define(part *pb.SetPart) error {
	set, cover, err := Set(nil), coverageFunc(nil), error(nil)
	if list, ok := part.GetContent().(*pb.SetPart_Users); ok {
		if s.lists[part.Id] == nil {
			s.lists[part.Id] = users{}
		}
		s.lists[part.Id].add(list.Users.UserIds)
		set, cover = s.lists[part.Id].contains, s.lists[part.Id].cover
	} else if set, err = s.Compile(part.GetExpression()); err != nil {
		return err
	} else {
		cover = s.compileCoverage(part.GetExpression())
	}
	if part.Last {
		s.complete[part.Id], s.coverages[part.Id] = set, cover
	}
	return nil
}

// Edit removes users at once, and keeps added users until Changed arrives.
func (s *Sets) Edit(edit *pb.SetEdit) error {
	list, ok := s.lists[edit.Id]
	if !ok {
		return fmt.Errorf("set %d is not a list of users", edit.Id)
	}
	if s.added[edit.Id] == nil {
		s.added[edit.Id] = users{}
	}
	for _, user := range edit.Removed {
		delete(list, user)
		delete(s.added[edit.Id], user)
	}
	s.added[edit.Id].add(edit.Added)
	return nil
}

// Changed adds the users of all edits since the last Changed.
func (s *Sets) Changed() {
	for id, added := range s.added {
		for user := range added {
			s.lists[id][user] = struct{}{}
		}
	}
	clear(s.added)
}

// AreEdited returns true if an edit has no Changed yet.
func (s *Sets) AreEdited() bool { return len(s.added) > 0 }

// Retire drops a set. Drop the answers that use it as well.
func (s *Sets) Retire(id uint64) {
	delete(s.complete, id)
	delete(s.coverages, id)
	delete(s.lists, id)
	delete(s.added, id)
}

// Compile turns an expression into a function of the user. It checks the whole
// expression first: an unknown kind must be an error, even if another part of the
// expression decides about most users.
func (s *Sets) Compile(expression *pb.SetExpression) (Set, error) {
	switch kind := expression.GetExpression().(type) {
	case *pb.SetExpression_Users:
		list := users{}
		list.add(kind.Users.UserIds)
		return list.contains, nil
	case *pb.SetExpression_Everyone:
		return everybody, nil
	case *pb.SetExpression_Server:
		return matching("*", kind.Server), nil
	case *pb.SetExpression_Match:
		localparts, servers, ok := strings.Cut(kind.Match, ":")
		if !ok {
			return nil, fmt.Errorf("a pattern without `:`: %q", kind.Match)
		}
		return matching(localparts, servers), nil
	case *pb.SetExpression_SetId:
		return s.Get(kind.SetId)
	case *pb.SetExpression_AnyOf:
		sets, err := s.compileAll(kind.AnyOf.Sets)
		return func(user, subject string) Truth {
			return anyOf(sets, func(set Set) Truth { return set(user, subject) })
		}, err
	case *pb.SetExpression_AllOf:
		sets, err := s.compileAll(kind.AllOf.Sets)
		if len(kind.AllOf.Sets) == 0 {
			return nil, fmt.Errorf("an intersection of nothing")
		}
		return func(user, subject string) Truth {
			return allOf(sets, func(set Set) Truth { return set(user, subject) })
		}, err
	case *pb.SetExpression_Difference:
		sets, err := s.compileAll([]*pb.SetExpression{kind.Difference.Any, kind.Difference.Except})
		return func(user, subject string) Truth {
			return min(sets[0](user, subject), Yes-sets[1](user, subject))
		}, err
	case *pb.SetExpression_RoomMates:
		return s.compileRoomMates(kind.RoomMates.AllOf)
	default:
		return nil, fmt.Errorf("no set that this client knows: %T", kind)
	}
}

func (s *Sets) compileRoomMates(conditions []*pb.RoomCondition) (Set, error) {
	if s.shareRoom == nil {
		return nil, errors.New("no function tells who shares a room")
	}
	for _, condition := range conditions {
		if !isKnown(condition) {
			return nil, fmt.Errorf("no condition that this client knows: %v", condition)
		}
	}
	return func(user, subject string) Truth { return s.shareRoom(user, subject, conditions) }, nil
}

// isKnown returns false for a condition of a later version, and for one without a meaning.
func isKnown(condition *pb.RoomCondition) bool {
	arePatterns := func(count *pb.JoinedMembers) bool {
		return !slices.ContainsFunc(count.NotCounting, func(pattern string) bool {
			return !strings.Contains(pattern, ":")
		})
	}
	switch kind := condition.GetCondition().(type) {
	case *pb.RoomCondition_AtMost:
		return arePatterns(kind.AtMost)
	case *pb.RoomCondition_AtLeast:
		return arePatterns(kind.AtLeast)
	case *pb.RoomCondition_Encrypted:
		return true
	case *pb.RoomCondition_JoinRule:
		return len(kind.JoinRule.Values) > 0
	case *pb.RoomCondition_HistoryVisibility:
		return len(kind.HistoryVisibility.Values) > 0
	case *pb.RoomCondition_Rooms:
		return len(kind.Rooms.Values) > 0
	case *pb.RoomCondition_NotRooms:
		return len(kind.NotRooms.Values) > 0
	case *pb.RoomCondition_Space:
		return kind.Space != ""
	case *pb.RoomCondition_PresenceSharing:
		return kind.PresenceSharing == pb.RoomPresenceSharing_ROOM_PRESENCE_SHARING_SUGGEST ||
			kind.PresenceSharing == pb.RoomPresenceSharing_ROOM_PRESENCE_SHARING_FORBID
	default:
		return false
	}
}

// References are the ids of the sets that an expression refers to. Once one of them is
// retired, the answer that the expression is part of is void.
func References(expression *pb.SetExpression) []uint64 {
	var all []*pb.SetExpression
	switch kind := expression.GetExpression().(type) {
	case *pb.SetExpression_SetId:
		return []uint64{kind.SetId}
	case *pb.SetExpression_AnyOf:
		all = kind.AnyOf.Sets
	case *pb.SetExpression_AllOf:
		all = kind.AllOf.Sets
	case *pb.SetExpression_Difference:
		all = []*pb.SetExpression{kind.Difference.Any, kind.Difference.Except}
	}
	var ids []uint64
	for _, one := range all {
		ids = append(ids, References(one)...)
	}
	return ids
}

func (s *Sets) compileAll(expressions []*pb.SetExpression) ([]Set, error) {
	sets := make([]Set, len(expressions))
	for i, expression := range expressions {
		var err error
		if sets[i], err = s.Compile(expression); err != nil {
			return nil, err
		}
	}
	return sets, nil
}

// anyOf is Yes if one item is Yes, and No if all are No.
func anyOf[T any](items []T, evaluate func(T) Truth) Truth {
	result := No
	for _, item := range items {
		if result = max(result, evaluate(item)); result == Yes {
			break
		}
	}
	return result
}

// allOf is Yes if all items are Yes, and No if one is No.
func allOf[T any](items []T, evaluate func(T) Truth) Truth {
	result := Yes
	for _, item := range items {
		if result = min(result, evaluate(item)); result == No {
			break
		}
	}
	return result
}

func truth(value bool) Truth {
	if value {
		return Yes
	}
	return No
}

func everybody(_, _ string) Truth { return Yes }

func (u users) contains(user, _ string) Truth {
	_, ok := u[user]
	return truth(ok)
}

func (u users) add(ids []string) {
	for _, id := range ids {
		u[id] = struct{}{}
	}
}

// Hides are the hides of the answer about a subject. Both methods return the fields to
// remove.
type Hides struct {
	subject string
	hides   []compiledHide
}

type compiledHide struct {
	*pb.Hide
	users Set
	cover coverageFunc
}

// Fields is a set of fields. If it contains PRESENCE_FIELD_PRESENCE, it contains all
// fields: deliver the sender as offline, without status and activity.
type Fields map[pb.PresenceField]bool

// CompileHides compiles the hides of the answer about a subject.
func (s *Sets) CompileHides(hides []*pb.Hide, subject string) (Hides, error) {
	compiled := make([]compiledHide, len(hides))
	for i, hide := range hides {
		users, err := s.Compile(hide.Users)
		if err != nil {
			return Hides{}, err
		}
		compiled[i] = compiledHide{hide, users, s.compileCoverage(hide.Users)}
	}
	return Hides{subject, compiled}, nil
}

// ForUser returns the fields hidden between the subject of the answer and this user: a
// recipient if the answer is about states, a sender if it is about interest. The
// presence is the sender's.
func (h Hides) ForUser(user, presence string) Fields {
	// Also a hide applies that depends on an unknown fact.
	return h.fields(presence, func(hide compiledHide) bool { return hide.users(user, h.subject) != No })
}

// ForServer returns the fields to remove from the one copy of a state that goes to a
// server. The server may show this copy to all of its users. So the result is the
// union over every user there, known or not.
func (h Hides) ForServer(server, presence string) Fields {
	return h.fields(presence, func(hide compiledHide) bool { return hide.cover(server) != coversNone })
}

func (h Hides) fields(presence string, applies func(compiledHide) bool) Fields {
	hidden := Fields{}
	for _, hide := range h.hides {
		if slices.Contains(hide.UnlessPresence, presence) || !applies(hide) {
			continue
		}
		// An unknown field means all fields. So does a hide without fields, which this
		// version of the contract does not allow.
		if len(hide.Fields) == 0 || slices.ContainsFunc(hide.Fields, meansAllFields) {
			return allFields()
		}
		for _, field := range hide.Fields {
			hidden[field] = true
		}
	}
	return hidden
}

func meansAllFields(field pb.PresenceField) bool {
	switch field {
	case pb.PresenceField_PRESENCE_FIELD_STATUS_MSG,
		pb.PresenceField_PRESENCE_FIELD_LAST_ACTIVE_TS,
		pb.PresenceField_PRESENCE_FIELD_CURRENTLY_ACTIVE:
		return false
	default:
		return true
	}
}

func allFields() Fields {
	all := Fields{}
	for field := range pb.PresenceField_name {
		if field != 0 {
			all[pb.PresenceField(field)] = true
		}
	}
	return all
}

// coverageFunc returns how many users of a server a set contains.
type coverageFunc func(server string) coverage

type coverage int

const (
	coversNone coverage = iota
	coversSome
	coversAll
)

// compileCoverage turns an expression that Compile accepts into a function of the
// server. The result may be coversSome for a set without a user of this server, and
// never coversNone for a set that has one.
func (s *Sets) compileCoverage(expression *pb.SetExpression) coverageFunc {
	switch kind := expression.GetExpression().(type) {
	case *pb.SetExpression_Users:
		list := users{}
		list.add(kind.Users.UserIds)
		return list.cover
	case *pb.SetExpression_Server:
		return covering("*", kind.Server)
	case *pb.SetExpression_Match:
		localparts, servers, _ := strings.Cut(kind.Match, ":")
		return covering(localparts, servers)
	case *pb.SetExpression_SetId:
		return s.coverages[kind.SetId]
	case *pb.SetExpression_AnyOf:
		return s.foldCoverages(kind.AnyOf.Sets, coversNone, func(a, b coverage) coverage { return max(a, b) })
	case *pb.SetExpression_AllOf:
		return s.foldCoverages(kind.AllOf.Sets, coversAll, func(a, b coverage) coverage { return min(a, b) })
	case *pb.SetExpression_Difference:
		whole, without := s.compileCoverage(kind.Difference.Any), s.compileCoverage(kind.Difference.Except)
		return func(server string) coverage { return min(whole(server), coversAll-without(server)) }
	case *pb.SetExpression_RoomMates:
		return func(string) coverage { return coversSome }
	default:
		// Everyone: Compile accepts no other kind.
		return func(string) coverage { return coversAll }
	}
}

func (s *Sets) foldCoverages(
	expressions []*pb.SetExpression, start coverage, combine func(a, b coverage) coverage,
) coverageFunc {
	var covers []coverageFunc
	for _, expression := range expressions {
		covers = append(covers, s.compileCoverage(expression))
	}
	return func(server string) coverage {
		result := start
		for _, cover := range covers {
			result = combine(result, cover(server))
		}
		return result
	}
}

// covering returns the coverage by two globs. Every user id begins with `@`.
func covering(localparts, servers string) coverageFunc {
	found := coversSome
	if localparts == "*" || localparts == "@*" {
		found = coversAll
	}
	return func(server string) coverage {
		if glob(servers, server) {
			return found
		}
		return coversNone
	}
}

func (u users) cover(server string) coverage {
	for user := range u {
		if _, of, _ := strings.Cut(user, ":"); of == server {
			return coversSome
		}
	}
	return coversNone
}

// matching returns the users that two globs match: one for the text before the first
// `:`, and one for the server.
func matching(localparts, servers string) Set {
	return func(user, _ string) Truth {
		before, server, ok := strings.Cut(user, ":")
		return truth(ok && glob(localparts, before) && glob(servers, server))
	}
}

// glob returns true if the whole text matches: `?` is one byte, `*` any run of bytes.
func glob(want, have string) bool {
	// The index of the last `*`, and the index in the text behind its run. On a
	// mismatch only this run grows: a longer run of an earlier `*` never helps.
	w, h, star, behind := 0, 0, -1, 0
	for h < len(have) {
		switch {
		case w < len(want) && want[w] == '*':
			star, behind = w, h
			w++
		case w < len(want) && (want[w] == '?' || want[w] == have[h]):
			w, h = w+1, h+1
		case star >= 0:
			behind++
			w, h = star+1, behind
		default:
			return false
		}
	}
	return strings.Trim(want[w:], "*") == ""
}

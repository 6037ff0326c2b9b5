// Sets of Matrix users as presence-router sends them: who is in, who is not.
//
// Copy this file. It needs the generated messages and nothing else, and follows
// sets.proto and the rules at RouteStatesResponse. Whatever it cannot tell for
// certain is an error: the whole answer is void then, and nobody sees more than
// the homeserver would show without the daemon.

package polyglot

import (
	"fmt"
	"slices"
	"strings"

	pb "polyglot/gen/presence_router/v1"
)

// Set says whether a user is in it.
type Set func(user string) bool

// Sets are those that one stream has defined. They die with it. A unary answer
// refers to none: the zero value compiles its expressions.
type Sets struct {
	complete map[uint64]Set
	// Lists of users. Edited in place: who refers to one sees the edit.
	lists map[uint64]users
	added map[uint64]users
}

type users map[string]struct{}

// NewSets is what a stream begins with.
func NewSets() *Sets {
	return &Sets{map[uint64]Set{}, map[uint64]users{}, map[uint64]users{}}
}

// Get returns a set that is complete.
func (s *Sets) Get(id uint64) (Set, error) {
	if set, ok := s.complete[id]; ok {
		return set, nil
	}
	return nil, fmt.Errorf("set %d is not defined", id)
}

// Define takes a part of a set, which is there once it has the last one.
func (s *Sets) Define(part *pb.SetPart) error {
	set, err := Set(nil), error(nil)
	if list, ok := part.GetContent().(*pb.SetPart_Users); ok {
		if s.lists[part.Id] == nil {
			s.lists[part.Id] = users{}
		}
		s.lists[part.Id].add(list.Users.UserIds)
		set = s.lists[part.Id].contains
	} else if set, err = s.Compile(part.GetExpression()); err != nil {
		return err
	}
	if part.Last {
		s.complete[part.Id] = set
	}
	return nil
}

// Edit removes at once; what is added waits for Changed.
func (s *Sets) Edit(edit *pb.SetEdit) error {
	list, ok := s.lists[edit.Id]
	if !ok {
		return fmt.Errorf("set %d is no list of users", edit.Id)
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

// Changed lets in who was added.
func (s *Sets) Changed() {
	for id, added := range s.added {
		for user := range added {
			s.lists[id][user] = struct{}{}
		}
	}
	clear(s.added)
}

// AreEdited tells whether edits wait for their Changed.
func (s *Sets) AreEdited() bool { return len(s.added) > 0 }

// Retire drops a set. Answers that use it are void.
func (s *Sets) Retire(id uint64) {
	delete(s.complete, id)
	delete(s.lists, id)
	delete(s.added, id)
}

// Compile makes an expression a function of the user. All of it is understood
// before anybody is asked about: a kind that is unknown must not hide behind one
// that happens to decide.
func (s *Sets) Compile(expression *pb.SetExpression) (Set, error) {
	switch kind := expression.GetExpression().(type) {
	case *pb.SetExpression_Users:
		list := users{}
		list.add(kind.Users.UserIds)
		return list.contains, nil
	case *pb.SetExpression_Everyone:
		return func(string) bool { return true }, nil
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
		return func(user string) bool { return slices.ContainsFunc(sets, has(user)) }, err
	case *pb.SetExpression_AllOf:
		sets, err := s.compileAll(kind.AllOf.Sets)
		if len(kind.AllOf.Sets) == 0 {
			return nil, fmt.Errorf("an intersection of nothing")
		}
		return func(user string) bool { return !slices.ContainsFunc(sets, lacks(user)) }, err
	case *pb.SetExpression_Difference:
		sets, err := s.compileAll([]*pb.SetExpression{kind.Difference.Any, kind.Difference.Except})
		return func(user string) bool { return sets[0](user) && !sets[1](user) }, err
	default:
		return nil, fmt.Errorf("no set that this client knows: %T", kind)
	}
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

func has(user string) func(Set) bool {
	return func(set Set) bool { return set(user) }
}

func lacks(user string) func(Set) bool {
	return func(set Set) bool { return !set(user) }
}

func (u users) contains(user string) bool {
	_, ok := u[user]
	return ok
}

func (u users) add(ids []string) {
	for _, id := range ids {
		u[id] = struct{}{}
	}
}

// matching is users by two globs: for what is before the first `:`, and for the
// server.
func matching(localparts, servers string) Set {
	return func(user string) bool {
		before, server, ok := strings.Cut(user, ":")
		return ok && glob(localparts, before) && glob(servers, server)
	}
}

// glob tells whether all of a text matches. By bytes, as indexes into strings
// are: `?` is one, `*` any run of them.
func glob(want, have string) bool {
	// Where the last `*` stands, and where the text goes on behind its run. To
	// let that run grow is enough: no earlier one can do what it cannot.
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

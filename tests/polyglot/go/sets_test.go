// The set evaluator, as the contract defines it; edits of sets; and hides.

package polyglot

import (
	"maps"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "polyglot/gen/presence_router/v1"
)

func TestGlobsDoWhatTheirDefinitionSays(t *testing.T) {
	texts := words("ab", 5)
	for _, pattern := range words("ab*?", 4) {
		as := strings.NewReplacer("*", ".*", "?", ".").Replace(pattern)
		definition := regexp.MustCompile("^" + as + "$")
		for _, text := range texts {
			if glob(pattern, text) != definition.MatchString(text) {
				t.Errorf("%q %q", pattern, text)
			}
		}
	}
}

func words(letters string, longest int) []string {
	all, last := []string{""}, []string{""}
	for range longest {
		var longer []string
		for _, word := range last {
			for _, letter := range letters {
				longer = append(longer, word+string(letter))
			}
		}
		all, last = append(all, longer...), longer
	}
	return all
}

func TestEachKind(t *testing.T) {
	for _, test := range []struct {
		expression      *pb.SetExpression
		inside, outside string
	}{
		{list("@a:x"), "@a:x", "@a:X"},
		{all(), "@never:met.before:8448", ""},
		{server("*.x"), "@a:b.x", "@b.x:y"},
		{server("x:8448"), "@a:x:8448", "@a:x"},
		{match("@*-bot:x"), "@a-bot:x", "@a:b-bot:x"},
		{match("@??:x"), "@é:x", "@e:x"},
		{union(list("@a:x"), list("@b:x")), "@b:x", "@c:x"},
		{union(), "", "@a:x"},
		{intersection(all(), list("@b:x")), "@b:x", "@c:x"},
		{minus(all(), server("x")), "@a:y", "@a:x"},
	} {
		set, err := NewSets(nil).Compile(test.expression)
		must(t, err)
		if test.inside != "" && set(test.inside, ann) != Yes || test.outside != "" && set(test.outside, ann) != No {
			t.Errorf("%v", test.expression)
		}
	}
}

func TestAnExpressionWithoutAClearMeaningIsNoVerdict(t *testing.T) {
	// A kind of a later version of the contract.
	later := &pb.SetExpression{}
	must(t, proto.Unmarshal([]byte{0xfa, 0x06, 0}, later))
	for _, expression := range []*pb.SetExpression{
		nil,
		{},
		later,
		match("nocolon"),
		intersection(),
		setID(7),
		minus(all(), nil),
		// An error, although everyone is in the union anyway.
		union(all(), later),
	} {
		if _, err := NewSets(nil).Compile(expression); err == nil {
			t.Errorf("%v", expression)
		}
	}
}

func TestASetIsThereWhenItIsComplete(t *testing.T) {
	sets := NewSets(nil)
	must(t, sets.Define(part(1, false, "@a:x")))
	if _, err := sets.Get(1); err == nil {
		t.Error("not complete yet")
	}
	must(t, sets.Define(part(1, true, "@b:x")))
	set, err := sets.Get(1)
	must(t, err)
	if set("@a:x", ann) != Yes || set("@b:x", ann) != Yes {
		t.Error("parts add up")
	}
}

func TestARemovalCountsAtOnceAndAnAdditionWhenChanged(t *testing.T) {
	sets := NewSets(nil)
	must(t, sets.Define(part(1, true, "@a:x")))
	but := minus(setID(1), list("@z:x"))
	must(t, sets.Define(&pb.SetPart{Id: 2, Content: &pb.SetPart_Expression{Expression: but}, Last: true}))
	set, err := sets.Get(2)
	must(t, err)
	edit := &pb.SetEdit{Id: 1, Removed: []string{"@a:x"}, Added: []string{"@b:x", "@z:x"}}
	must(t, sets.Edit(edit))
	if set("@a:x", ann) != No || set("@b:x", ann) != No {
		t.Error("before Changed")
	}
	sets.Changed()
	if set("@b:x", ann) != Yes || set("@z:x", ann) != No {
		t.Error("after Changed")
	}
}

func TestARetiredSetIsGone(t *testing.T) {
	sets := NewSets(nil)
	must(t, sets.Define(part(1, true, "@a:x")))
	sets.Retire(1)
	if _, err := sets.Get(1); err == nil {
		t.Error("retired")
	}
	if sets.Edit(&pb.SetEdit{Id: 1, Added: []string{"@b:x"}}) == nil {
		t.Error("retired")
	}
}

func TestACoverageOfAServer(t *testing.T) {
	for _, test := range []struct {
		expression *pb.SetExpression
		covers     coverage
	}{
		{list("@a:x"), coversSome},
		{list("@a:y"), coversNone},
		{all(), coversAll},
		{server("*"), coversAll},
		{server("y"), coversNone},
		{match("@*:x"), coversAll},
		{match("@*-bot:x"), coversSome},
		{match("@*-bot:y"), coversNone},
		{union(), coversNone},
		{union(list("@a:x"), server("x")), coversAll},
		{intersection(list("@a:x"), server("x")), coversSome},
		{intersection(all(), server("y")), coversNone},
		{minus(all(), server("x")), coversNone},
		{minus(all(), list("@a:x")), coversSome},
		{minus(all(), server("y")), coversAll},
	} {
		sets := NewSets(nil)
		defined := &pb.SetPart{Id: 1, Content: &pb.SetPart_Expression{Expression: test.expression}, Last: true}
		must(t, sets.Define(defined))
		for _, expression := range []*pb.SetExpression{test.expression, setID(1)} {
			if found := sets.compileCoverage(expression)("x"); found != test.covers {
				t.Errorf("%v: %v", expression, found)
			}
		}
	}
}

func TestHidesAddUpForAUserAndForAServer(t *testing.T) {
	sets := NewSets(nil)
	must(t, sets.Define(part(1, true, "@joe:x")))
	hides, err := sets.CompileHides([]*pb.Hide{
		{Users: setID(1), Fields: []pb.PresenceField{2}, UnlessPresence: []string{"busy", "online"}},
		{Users: server("x"), Fields: []pb.PresenceField{3}},
		{Users: minus(all(), server("x")), Fields: []pb.PresenceField{4}},
		{Users: match("@*-bot:y"), Fields: []pb.PresenceField{1}},
		{Users: list("@a:later"), Fields: []pb.PresenceField{99}},
		{Users: list("@a:none")},
	}, ann)
	must(t, err)
	fields := func(fields ...pb.PresenceField) Fields {
		set := Fields{}
		for _, field := range fields {
			set[field] = true
		}
		return set
	}
	for _, test := range []struct{ found, expected Fields }{
		{hides.ForUser("@joe:x", "offline"), fields(2, 3)},
		{hides.ForUser("@joe:x", "online"), fields(3)},
		{hides.ForUser("@a:y", "online"), fields(4)},
		// A hidden presence hides all fields, and so does an unknown field or none.
		{hides.ForUser("@a-bot:y", "online"), fields(1, 2, 3, 4)},
		{hides.ForUser("@a:later", "online"), fields(1, 2, 3, 4)},
		{hides.ForUser("@a:none", "online"), fields(1, 2, 3, 4)},
		// One copy for all users of a server.
		{hides.ForServer("x", "offline"), fields(2, 3)},
		{hides.ForServer("x", "busy"), fields(3)},
		{hides.ForServer("y", "online"), fields(1, 2, 3, 4)},
		{hides.ForServer("z", "online"), fields(4)},
		{Hides{}.ForServer("x", "online"), fields()},
	} {
		if !maps.Equal(test.found, test.expected) {
			t.Errorf("found %v, expected %v", test.found, test.expected)
		}
	}
	// An edit of a list applies to hides as well.
	must(t, sets.Edit(&pb.SetEdit{Id: 1, Removed: []string{"@joe:x"}}))
	if found := hides.ForServer("x", "offline"); !maps.Equal(found, fields(3)) {
		t.Error(found)
	}
}

func TestAHideForAnUnknownKindOfSetIsNoVerdict(t *testing.T) {
	if _, err := NewSets(nil).CompileHides([]*pb.Hide{{Fields: []pb.PresenceField{2}}}, ann); err == nil {
		t.Error("there is no set")
	}
}

func setID(id uint64) *pb.SetExpression {
	return &pb.SetExpression{Expression: &pb.SetExpression_SetId{SetId: id}}
}

func part(id uint64, last bool, ids ...string) *pb.SetPart {
	content := &pb.SetPart_Users{Users: &pb.UserList{UserIds: ids}}
	return &pb.SetPart{Id: id, Content: content, Last: last}
}

func list(ids ...string) *pb.SetExpression {
	return &pb.SetExpression{Expression: &pb.SetExpression_Users{Users: &pb.UserList{UserIds: ids}}}
}

func all() *pb.SetExpression {
	return &pb.SetExpression{Expression: &pb.SetExpression_Everyone{Everyone: &pb.Everyone{}}}
}

func server(glob string) *pb.SetExpression {
	return &pb.SetExpression{Expression: &pb.SetExpression_Server{Server: glob}}
}

func match(pattern string) *pb.SetExpression {
	return &pb.SetExpression{Expression: &pb.SetExpression_Match{Match: pattern}}
}

func union(sets ...*pb.SetExpression) *pb.SetExpression {
	return &pb.SetExpression{Expression: &pb.SetExpression_AnyOf{AnyOf: &pb.SetList{Sets: sets}}}
}

func intersection(sets ...*pb.SetExpression) *pb.SetExpression {
	return &pb.SetExpression{Expression: &pb.SetExpression_AllOf{AllOf: &pb.SetList{Sets: sets}}}
}

func minus(whole, without *pb.SetExpression) *pb.SetExpression {
	difference := &pb.SetDifference{Any: whole, Except: without}
	return &pb.SetExpression{Expression: &pb.SetExpression_Difference{Difference: difference}}
}

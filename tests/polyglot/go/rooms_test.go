// Sets with room-mates, by the table that the clients in all languages share.

package polyglot

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"gopkg.in/yaml.v3"

	pb "polyglot/gen/presence_router/v1"
)

type roomTable struct {
	Subject string
	Users   []string
	Rooms   givenRooms
	Cases   []struct {
		About       string
		Expression  any
		In, Unknown []string
	}
	NoVerdict []any `yaml:"no_verdict"`
}

func readTable(t *testing.T) (table roomTable) {
	t.Helper()
	text, err := os.ReadFile("../room_mates.yaml")
	must(t, err)
	must(t, yaml.Unmarshal(text, &table))
	if len(table.Cases) < 25 || len(table.NoVerdict) < 13 {
		t.Fatal("the table is where it was")
	}
	return table
}

func readExpression(t *testing.T, value any) *pb.SetExpression {
	t.Helper()
	text, err := json.Marshal(value)
	must(t, err)
	expression := &pb.SetExpression{}
	must(t, protojson.Unmarshal(text, expression))
	return expression
}

func TestRoomMates(t *testing.T) {
	table := readTable(t)
	for _, test := range table.Cases {
		t.Run(test.About, func(t *testing.T) {
			expression := readExpression(t, test.Expression)
			sets := NewSets(table.Rooms.shareRoom)
			set, err := sets.Compile(expression)
			must(t, err)
			hide := &pb.Hide{Users: expression, Fields: []pb.PresenceField{2}}
			hides, err := sets.CompileHides([]*pb.Hide{hide}, table.Subject)
			must(t, err)
			for _, user := range table.Users {
				expected := truth(slices.Contains(test.In, user))
				if slices.Contains(test.Unknown, user) {
					expected = Unknown
				}
				if found := set(user, table.Subject); found != expected {
					t.Errorf("%s: found %d, expected %d", user, found, expected)
				}
				// A hide applies unless its set is false.
				if hidden := len(hides.ForUser(user, "online")) > 0; hidden != (expected != No) {
					t.Errorf("%s: hidden: %t", user, hidden)
				}
			}
		})
	}
}

func TestRoomMatesWithoutAClearMeaningAreNoVerdict(t *testing.T) {
	table := readTable(t)
	for _, expression := range table.NoVerdict {
		if _, err := NewSets(table.Rooms.shareRoom).Compile(readExpression(t, expression)); err == nil {
			t.Errorf("%v", expression)
		}
	}
}

func TestRoomMatesAreNoVerdictWithoutTheFunction(t *testing.T) {
	if _, err := NewSets(nil).Compile(roomMates()); err == nil {
		t.Error("there is no function")
	}
}

func TestRoomMatesMayBeOnEveryServer(t *testing.T) {
	sets := NewSets(givenRooms{}.shareRoom)
	for _, test := range []struct {
		expression *pb.SetExpression
		covers     coverage
	}{
		{roomMates(), coversSome},
		{minus(all(), roomMates()), coversSome},
		{intersection(roomMates(), server("y")), coversNone},
	} {
		if found := sets.compileCoverage(test.expression)("x"); found != test.covers {
			t.Errorf("%v: %v", test.expression, found)
		}
	}
}

func roomMates() *pb.SetExpression {
	return &pb.SetExpression{Expression: &pb.SetExpression_RoomMates{RoomMates: &pb.RoomMates{}}}
}

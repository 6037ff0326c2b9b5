// Every scenario file, by unary calls and by the stream.

package polyglot

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	pb "polyglot/gen/presence_router/v1"
)

// lists are the other users of each user, sorted, without the users who have none.
type lists map[string][]string

// hidden is the fields of an online sender that a recipient does not see, by the sender.
type hidden map[string]map[string]Fields

type scenario struct {
	About   string
	Policy  string
	Users   []string
	Rooms   givenRooms
	Callers []caller
}

type caller struct {
	ServerNames                        []string `yaml:"server_names"`
	Capabilities                       *[]string
	Audiences, Interests, Destinations lists
	// Names of fields, by sender and recipient.
	Hides map[string]map[string][]string
}

// answers are the answers to one caller.
type answers struct {
	audiences, interests lists
	// By answers about senders, and by answers about recipients.
	hides [2]hidden
}

func newAnswers() answers { return answers{lists{}, lists{}, [2]hidden{{}, {}}} }

func TestUnary(t *testing.T) {
	eachScenario(t, func(t *testing.T, s scenario, d *daemon) {
		client := pb.NewPresenceRouterServiceClient(d.connect())
		for _, caller := range s.Callers {
			found, destinations := newAnswers(), lists{}
			byStates(t, client, s, caller, &found, destinations)
			byInterest(t, client, s, caller, &found)
			equal(t, destinations, caller.Destinations)
			found.check(t, caller)
		}
	})
}

func TestStream(t *testing.T) {
	eachScenario(t, func(t *testing.T, s scenario, d *daemon) {
		for _, caller := range s.Callers {
			router := NewRouter(d.connect(), caller.ServerNames...)
			// Without the function, the router itself must state nothing.
			if shareRoom, capabilities := caller.rooms(s); shareRoom != nil {
				router.ShareRoom, router.RoomCapabilities = shareRoom, capabilities
			}
			must(t, router.Connect(t.Context()))
			t.Cleanup(router.Close)
			found := newAnswers()
			audiences, err := router.Audiences(s.Users...)
			must(t, err)
			for i, sender := range s.Users {
				found.addAudience(sender, s.Users, audiences[i])
			}
			for _, recipient := range s.Users {
				answer, err := router.Interest(recipient)
				must(t, err)
				found.addInterest(recipient, s.Users, answer)
			}
			found.check(t, caller)
		}
	})
}

func eachScenario(t *testing.T, run func(*testing.T, scenario, *daemon)) {
	files, err := filepath.Glob("../../scenarios/*.yaml")
	must(t, err)
	if len(files) < 13 {
		t.Fatalf("the scenarios are where they were: %d", len(files))
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			must(t, err)
			var s scenario
			must(t, yaml.Unmarshal(text, &s))
			run(t, s, startDaemon(t, s.Policy))
		})
	}
}

// rooms returns the caller's function, and what it evaluates. An older client has none.
func (c caller) rooms(s scenario) (ShareRoom, []pb.Capability) {
	switch {
	case c.Capabilities == nil && s.Rooms != nil:
		return s.Rooms.shareRoom, RoomCapabilities
	case c.Capabilities == nil || len(*c.Capabilities) == 0:
		return nil, nil
	}
	var capabilities []pb.Capability
	for _, name := range *c.Capabilities {
		name = "CAPABILITY_ROOM_" + strings.ToUpper(strings.TrimPrefix(name, "room_"))
		capabilities = append(capabilities, pb.Capability(pb.Capability_value[name]))
	}
	return s.Rooms.shareRoom, capabilities
}

func byStates(
	t *testing.T, client pb.PresenceRouterServiceClient, s scenario, c caller, found *answers, destinations lists,
) {
	shareRoom, capabilities := c.rooms(s)
	request := &pb.GetUsersForStatesRequest{ServerNames: c.ServerNames, Capabilities: capabilities}
	for _, user := range s.Users {
		request.States = append(request.States, &pb.PresenceState{UserId: user})
	}
	response, err := client.GetUsersForStates(t.Context(), request)
	must(t, err)
	for i, sender := range s.Users {
		is := func(indexes []uint32) bool { return slices.Contains(indexes, uint32(i)) }
		var hides []*pb.Hide
		for _, entry := range response.Hides {
			if is(entry.StateIndexes) {
				hides = append(hides, entry.Hide)
			}
		}
		compiled, err := NewSets(shareRoom).CompileHides(hides, sender)
		must(t, err)
		listed := users{}
		for _, entry := range response.Recipients {
			if is(entry.StateIndexes) {
				listed.add([]string{entry.UserId})
			}
		}
		if listed.contains(sender, sender) == Yes {
			t.Errorf("spelled-out lists are without the user itself: %s", sender)
		}
		found.addAudience(sender, s.Users, &Answer{user: sender, set: listed.contains, Hides: compiled})
		for _, entry := range response.OpenRecipients {
			if is(entry.StateIndexes) {
				set, err := NewSets(shareRoom).Compile(entry.Recipients)
				must(t, err)
				found.addAudience(sender, s.Users, &Answer{user: sender, set: set, Hides: compiled})
				destinations.add(sender, entry.Destinations, func(string) bool { return true })
			}
		}
	}
}

func byInterest(t *testing.T, client pb.PresenceRouterServiceClient, s scenario, c caller, found *answers) {
	shareRoom, capabilities := c.rooms(s)
	for _, user := range s.Users {
		request := &pb.GetInterestedUsersRequest{
			ServerNames: c.ServerNames, UserId: user, Capabilities: capabilities,
		}
		response, err := client.GetInterestedUsers(t.Context(), request)
		must(t, err)
		if slices.Contains(response.UserIds, user) {
			t.Errorf("spelled-out lists are without the user itself: %s", user)
		}
		compiled, err := NewSets(shareRoom).CompileHides(response.Hides, user)
		must(t, err)
		listed := users{}
		listed.add(response.UserIds)
		found.addInterest(user, s.Users, &Answer{user: user, set: listed.contains, Hides: compiled})
		if response.OpenSenders != nil {
			set, err := NewSets(shareRoom).Compile(response.OpenSenders)
			must(t, err)
			found.addInterest(user, s.Users, &Answer{user: user, set: set, Hides: compiled})
		}
	}
}

// addAudience adds an answer about a sender, or a part of it.
func (a *answers) addAudience(sender string, users []string, answer *Answer) {
	a.audiences.add(sender, users, answer.Contains)
	for _, recipient := range a.audiences[sender] {
		a.hides[0].add(sender, recipient, answer.Hides.ForUser(recipient, "online"))
	}
}

// addInterest adds an answer about a recipient, or a part of it.
func (a *answers) addInterest(recipient string, users []string, answer *Answer) {
	a.interests.add(recipient, users, answer.Contains)
	for _, sender := range a.interests[recipient] {
		a.hides[1].add(sender, recipient, answer.Hides.ForUser(sender, "online"))
	}
}

func (a *answers) check(t *testing.T, c caller) {
	t.Helper()
	equal(t, a.audiences, c.Audiences)
	equal(t, a.interests, c.Interests)
	expected := hidden{}
	for sender, recipients := range c.Hides {
		for recipient, names := range recipients {
			fields := Fields{}
			for _, name := range names {
				fields[pb.PresenceField(pb.PresenceField_value["PRESENCE_FIELD_"+strings.ToUpper(name)])] = true
			}
			expected.add(sender, recipient, fields)
		}
	}
	for _, found := range a.hides {
		if !reflect.DeepEqual(found, expected) {
			t.Errorf("hidden: found %v, expected %v", found, expected)
		}
	}
}

func (h hidden) add(sender, recipient string, fields Fields) {
	if len(fields) == 0 {
		return
	}
	if h[sender] == nil {
		h[sender] = map[string]Fields{}
	}
	h[sender][recipient] = fields
}

// add adds the other users that are in a set.
func (l lists) add(user string, others []string, in func(string) bool) {
	for _, other := range others {
		if in(other) && !slices.Contains(l[user], other) {
			l[user] = append(l[user], other)
		}
	}
}

func equal(t *testing.T, found, expected lists) {
	t.Helper()
	if expected == nil {
		expected = lists{}
	}
	for _, lists := range []lists{found, expected} {
		for _, list := range lists {
			slices.Sort(list)
		}
	}
	if !reflect.DeepEqual(found, expected) {
		t.Errorf("found %v, expected %v", found, expected)
	}
}

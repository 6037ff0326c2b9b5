// Every scenario file, by unary calls and by the stream.

package polyglot

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"gopkg.in/yaml.v3"

	pb "polyglot/gen/presence_router/v1"
)

// lists are the other users of each user, sorted, without the users who have none.
type lists map[string][]string

type scenario struct {
	About   string
	Policy  string
	Users   []string
	Callers []struct {
		ServerNames                        []string `yaml:"server_names"`
		Audiences, Interests, Destinations lists
	}
}

func TestUnary(t *testing.T) {
	eachScenario(t, func(t *testing.T, s scenario, d *daemon) {
		client := pb.NewPresenceRouterServiceClient(d.connect())
		for _, caller := range s.Callers {
			audiences, destinations := byStates(t, client, caller.ServerNames, s.Users)
			equal(t, audiences, caller.Audiences)
			equal(t, destinations, caller.Destinations)
			equal(t, byInterest(t, client, caller.ServerNames, s.Users), caller.Interests)
		}
	})
}

func TestStream(t *testing.T) {
	eachScenario(t, func(t *testing.T, s scenario, d *daemon) {
		for _, caller := range s.Callers {
			router := openRouter(t, d.connect(), caller.ServerNames...)
			audiences, interests := lists{}, lists{}
			answers, err := router.Audiences(s.Users...)
			must(t, err)
			for i, sender := range s.Users {
				audiences.add(sender, s.Users, answers[i].Contains)
			}
			for _, recipient := range s.Users {
				answer, err := router.Interest(recipient)
				must(t, err)
				interests.add(recipient, s.Users, answer.Contains)
			}
			equal(t, audiences, caller.Audiences)
			equal(t, interests, caller.Interests)
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

func byStates(
	t *testing.T, client pb.PresenceRouterServiceClient, names, users []string,
) (lists, lists) {
	request := &pb.GetUsersForStatesRequest{ServerNames: names}
	for _, user := range users {
		request.States = append(request.States, &pb.PresenceState{UserId: user})
	}
	answer, err := client.GetUsersForStates(t.Context(), request)
	must(t, err)
	audiences, destinations := lists{}, lists{}
	for _, entry := range answer.Recipients {
		for _, index := range entry.StateIndexes {
			if entry.UserId == users[index] {
				t.Errorf("spelled-out lists are without the user itself: %s", entry.UserId)
			}
			audiences.add(users[index], []string{entry.UserId}, everyone)
		}
	}
	for _, entry := range answer.OpenRecipients {
		set, err := new(Sets).Compile(entry.Recipients)
		must(t, err)
		for _, index := range entry.StateIndexes {
			audiences.add(users[index], users, without(users[index], set))
			destinations.add(users[index], entry.Destinations, everyone)
		}
	}
	return audiences, destinations
}

func byInterest(
	t *testing.T, client pb.PresenceRouterServiceClient, names, users []string,
) lists {
	interests := lists{}
	for _, user := range users {
		request := &pb.GetInterestedUsersRequest{ServerNames: names, UserId: user}
		answer, err := client.GetInterestedUsers(t.Context(), request)
		must(t, err)
		if slices.Contains(answer.UserIds, user) {
			t.Errorf("spelled-out lists are without the user itself: %s", user)
		}
		interests.add(user, answer.UserIds, everyone)
		if answer.OpenSenders != nil {
			set, err := new(Sets).Compile(answer.OpenSenders)
			must(t, err)
			interests.add(user, users, without(user, set))
		}
	}
	return interests
}

// add adds the other users that are in the set.
func (l lists) add(user string, others []string, in Set) {
	for _, other := range others {
		if in(other) && !slices.Contains(l[user], other) {
			l[user] = append(l[user], other)
		}
	}
}

func everyone(string) bool { return true }

// without returns an open set of a unary answer without the user that it is for.
func without(user string, set Set) Set {
	return func(other string) bool { return other != user && set(other) }
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

// Kept answers follow the daemon: a reload, a restart, and every message that the
// contract has for changes, also those that no daemon sends on request.

package polyglot

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "polyglot/gen/presence_router/v1"
)

const ann, joe, sue = "@ann:example.org", "@joe:example.org", "@sue:example.org"

func shownTo(recipient string) string {
	return fmt.Sprintf(`{"rules": [{"name": "r", "allow": {"from": %q, "to": %q}}]}`, ann, recipient)
}

func TestAReloadIsFollowed(t *testing.T) {
	d := startDaemon(t, shownTo(joe))
	router := openRouter(t, d.connect(), "example.org")
	before := router.Revision
	expect(t, router, joe, sue)

	d.reload(shownTo(sue))
	must(t, router.Follow())
	if router.Revision == before {
		t.Error("the revision is another")
	}
	expect(t, router, sue, joe)
	for recipient, sees := range map[string]bool{sue: true, joe: false} {
		interest, err := router.Interest(recipient)
		must(t, err)
		if interest.Contains(ann) != sees {
			t.Errorf("does %s see her?", recipient)
		}
	}
}

func TestARouterThatOnlyAsksNoticesAReload(t *testing.T) {
	d := startDaemon(t, shownTo(joe))
	router := openRouter(t, d.connect(), "example.org")
	expect(t, router, joe, sue)
	d.reload(shownTo(sue))
	until := time.Now().Add(5 * time.Second)
	for is := false; !is; {
		answers, err := router.Audiences(ann)
		must(t, err)
		if is = answers[0].Contains(sue); !is && time.Now().After(until) {
			t.Fatal("the router did not notice the reload")
		}
	}
	d.end(syscall.SIGKILL)
	for {
		if _, err := router.Audiences(ann); err != nil {
			break
		} else if time.Now().After(until) {
			t.Fatal("the router did not notice the end")
		}
	}
	d.start(shownTo(sue))
}

func TestARestartIsSurvived(t *testing.T) {
	d := startDaemon(t, shownTo(joe))
	router := openRouter(t, d.connect(), "example.org")
	before := router.Revision
	expect(t, router, joe, sue)

	d.end(syscall.SIGKILL)
	if router.Follow() == nil {
		t.Fatal("the stream ends")
	}
	d.start(shownTo(sue))
	// The revision is of another history: Reset, or Joe would stay.
	must(t, router.Connect(t.Context()))
	if router.Revision == before {
		t.Error("the revision is another")
	}
	expect(t, router, sue, joe)
}

func TestAHideThatBeginsBetweenTwoStreamsIsKnown(t *testing.T) {
	d := startDaemon(t, shownTo(joe))
	router := openRouter(t, d.connect(), "example.org")
	other := openRouter(t, d.connect(), "example.org")
	expect(t, router, joe, sue)

	router.Close()
	hide := fmt.Sprintf(`, {"name": "h", "hide": {"from": %q, "to": %q, "fields": ["status_msg"]}}]`, ann, joe)
	d.reload(strings.Replace(shownTo(joe), "]", hide, 1))
	must(t, other.Follow())
	must(t, router.Connect(t.Context()))
	answers, err := router.Audiences(ann)
	must(t, err)
	status := pb.PresenceField_PRESENCE_FIELD_STATUS_MSG
	if hidden := answers[0].Hides.ForUser(joe, "online"); len(hidden) != 1 || !hidden[status] {
		t.Error(hidden)
	}
}

// expect checks that one user may see Ann, and another one may not.
func expect(t *testing.T, router *Router, in, out string) {
	t.Helper()
	answers, err := router.Audiences(ann)
	must(t, err)
	if !answers[0].Contains(in) || answers[0].Contains(out) {
		t.Errorf("%s is in, %s is not", in, out)
	}
}

// --- messages that no daemon sends on request

type told = []*pb.RouteStatesResponse

// script answers each request, also Open, with the messages that a test wrote.
type script struct {
	pb.UnimplementedPresenceRouterServiceServer
	// For all streams, one after another.
	taken   sync.Mutex
	answers []told
}

func (s *script) RouteStates(stream pb.PresenceRouterService_RouteStatesServer) error {
	for {
		if _, err := stream.Recv(); err != nil {
			return err
		}
		answers, err := s.next()
		if err != nil {
			return err
		}
		for _, message := range answers {
			if err := stream.Send(message); err != nil {
				return err
			}
		}
	}
}

func (s *script) next() (told, error) {
	s.taken.Lock()
	defer s.taken.Unlock()
	if len(s.answers) == 0 {
		return nil, errors.New("the script has no further answer")
	}
	first := s.answers[0]
	s.answers = s.answers[1:]
	return first, nil
}

func scripted(t *testing.T, answers ...told) *Router {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	server := grpc.NewServer()
	pb.RegisterPresenceRouterServiceServer(server, &script{answers: answers})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return openRouter(t, connect(t, listener.Addr().String()), "example.org")
}

func opened(heartbeat time.Duration) told {
	message := &pb.Opened{Revision: "e:1", HeartbeatInterval: durationpb.New(heartbeat)}
	return told{{Message: &pb.RouteStatesResponse_Opened{Opened: message}}}
}

// defined returns a set, in one part for each user.
func defined(id uint64, ids ...string) told {
	var parts told
	for i, user := range ids {
		message := &pb.RouteStatesResponse_SetPart{SetPart: part(id, i == len(ids)-1, user)}
		parts = append(parts, &pb.RouteStatesResponse{Message: message})
	}
	return parts
}

func delivered(batch, set uint64, hides ...*pb.Hide) *pb.RouteStatesResponse {
	one := &pb.Delivery{RecipientsSetId: set, StateIndexes: []uint32{0}, Hides: hides}
	deliveries := &pb.Deliveries{BatchId: batch, Revision: "e:1", Deliveries: []*pb.Delivery{one}}
	return &pb.RouteStatesResponse{Message: &pb.RouteStatesResponse_Deliveries{Deliveries: deliveries}}
}

func changed(gained ...*pb.PairProduct) *pb.RouteStatesResponse {
	message := &pb.Changed{Revision: "e:2", Gained: gained}
	return &pb.RouteStatesResponse{Message: &pb.RouteStatesResponse_Changed{Changed: message}}
}

func TestChangedVoidsNobodiesThatItNames(t *testing.T) {
	edit := &pb.SetEdit{Id: 1, Removed: []string{joe}, Added: []string{sue}}
	sees := func(query, set uint64) *pb.RouteStatesResponse {
		answer := &pb.InterestAnswer{QueryId: query, SendersSetId: set}
		return &pb.RouteStatesResponse{Message: &pb.RouteStatesResponse_InterestAnswer{InterestAnswer: answer}}
	}
	router := scripted(t,
		opened(time.Minute),
		append(defined(1, joe), delivered(1, 1)),
		told{sees(2, 0)},
		told{
			sees(3, 0),
			{Message: &pb.RouteStatesResponse_SetEdit{SetEdit: edit}},
			changed(&pb.PairProduct{Senders: list(ann), Recipients: list(sue)}),
		},
		// The router asks about Sue again. It keeps the answer about Ann, which refers to a
		// set, and that about Joe, whom Changed does not name.
		append(defined(2, ann), sees(4, 2)),
	)
	expect(t, router, joe, sue)
	for _, recipient := range []string{joe, sue} {
		_, err := router.Interest(recipient)
		must(t, err)
	}
	must(t, router.Follow())
	if router.Revision != "e:2" {
		t.Error(router.Revision)
	}
	expect(t, router, sue, joe)
	for recipient, is := range map[string]bool{sue: true, joe: false} {
		interest, err := router.Interest(recipient)
		must(t, err)
		if interest.Contains(ann) != is {
			t.Errorf("does %s see her?", recipient)
		}
	}
}

func TestARetiredSetVoidsTheAnswersThatReferToIt(t *testing.T) {
	retired := func(id uint64) *pb.RouteStatesResponse {
		message := &pb.RouteStatesResponse_SetRetired{SetRetired: &pb.SetRetired{Id: id}}
		return &pb.RouteStatesResponse{Message: message}
	}
	hide := &pb.Hide{Users: &pb.SetExpression{Expression: &pb.SetExpression_SetId{SetId: 2}}}
	sees := &pb.InterestAnswer{QueryId: 2, SendersSetId: 3}
	router := scripted(t,
		opened(time.Minute),
		append(append(defined(1, joe), defined(2, joe)...), delivered(1, 1, hide)),
		append(defined(3, ann),
			&pb.RouteStatesResponse{Message: &pb.RouteStatesResponse_InterestAnswer{InterestAnswer: sees}},
			retired(1), changed()),
		append(defined(4, sue), delivered(3, 4, hide), retired(2), changed()),
		append(defined(5, joe), delivered(4, 5)),
	)
	expect(t, router, joe, sue)
	seen := func() {
		interest, err := router.Interest(sue)
		must(t, err)
		if !interest.Contains(ann) {
			t.Error("her set is not the one that was retired")
		}
	}
	seen()
	must(t, router.Follow())
	expect(t, router, sue, joe)
	must(t, router.Follow())
	// The set of a hide was retired.
	expect(t, router, joe, sue)
	seen()
}

func TestAStreamThatEndsAmidEditsVoidsAnswers(t *testing.T) {
	edit := &pb.RouteStatesResponse_SetEdit{SetEdit: &pb.SetEdit{Id: 1, Removed: []string{joe}}}
	nobody := &pb.RouteStatesResponse_InterestAnswer{InterestAnswer: &pb.InterestAnswer{QueryId: 2}}
	router := scripted(t,
		opened(time.Minute),
		append(defined(1, joe), delivered(1, 1)),
		// Joe moves to another list; the stream ends before it defines this list.
		told{{Message: edit}, {Message: nobody}},
		opened(time.Minute),
		append(defined(1, joe), delivered(1, 1)),
	)
	expect(t, router, joe, sue)
	_, err := router.Interest(sue)
	must(t, err)
	router.Close()
	must(t, router.Connect(t.Context()))
	expect(t, router, joe, sue)
}

func TestAnAnswerOutlivesAStreamIfNothingChanges(t *testing.T) {
	router := scripted(t,
		opened(time.Minute), append(defined(1, joe), delivered(1, 1)), opened(time.Minute))
	expect(t, router, joe, sue)
	router.Close()
	must(t, router.Connect(t.Context()))
	expect(t, router, joe, sue)
}

func TestAnAnswerIsRememberedUntilThen(t *testing.T) {
	router := scripted(t, opened(time.Minute), append(defined(1, joe), delivered(1, 1)))
	expect(t, router, joe, sue)
	expect(t, router, joe, sue)
}

func TestAHideIsKeptAndAnUnknownFieldHidesAll(t *testing.T) {
	status := pb.PresenceField_PRESENCE_FIELD_STATUS_MSG
	router := scripted(t, opened(time.Minute), append(defined(1, joe, sue), delivered(1, 1,
		&pb.Hide{Users: list(joe), Fields: []pb.PresenceField{status}, UnlessPresence: []string{"online"}},
		&pb.Hide{Users: list(sue), Fields: []pb.PresenceField{status, 99}},
		// The contract allows neither a hide without fields nor this field.
		&pb.Hide{Users: list("@any:example.org")},
		&pb.Hide{Users: list("@one:example.org"), Fields: []pb.PresenceField{0}},
	)))
	answers, err := router.Audiences(ann)
	must(t, err)
	if hidden := answers[0].Hides.ForUser(joe, "online"); len(hidden) != 0 {
		t.Error(hidden)
	}
	if hidden := answers[0].Hides.ForUser(joe, "busy"); len(hidden) != 1 || !hidden[status] {
		t.Error(hidden)
	}
	for _, user := range []string{sue, "@any:example.org", "@one:example.org"} {
		if hidden := answers[0].Hides.ForUser(user, "online"); len(hidden) != 4 {
			t.Error(user, hidden)
		}
	}
}

func TestAnUnknownMessageEndsTheStream(t *testing.T) {
	later := &pb.RouteStatesResponse{}
	must(t, proto.Unmarshal([]byte{0xfa, 0x06, 0}, later))
	router := scripted(t, opened(time.Minute), told{later})
	if _, err := router.Audiences(ann); err == nil || !strings.Contains(err.Error(), "does not know") {
		t.Error(err)
	}
}

func TestSilenceMeansUnreachable(t *testing.T) {
	router := scripted(t, opened(50*time.Millisecond), told{})
	if _, err := router.Audiences(ann); !errors.Is(err, errUnreachable) {
		t.Error(err)
	}
}

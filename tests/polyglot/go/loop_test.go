// The main loop with a daemon that reloads, dies, and starts again.

package polyglot

import (
	"context"
	"syscall"
	"testing"
	"time"

	pb "polyglot/gen/presence_router/v1"
)

// recorder is a homeserver on which only Ann is online.
type recorder struct {
	updates   chan *pb.PresenceState
	delivered chan *Answer
}

func (r *recorder) Deliver(_ *pb.PresenceState, recipients *Answer) { r.delivered <- recipients }

func (r *recorder) ResendAll() {
	go func() { r.updates <- &pb.PresenceState{UserId: ann, Presence: "online"} }()
}

// expect waits for an answer that contains a user, or for no verdict.
func (r *recorder) expect(t *testing.T, user string) {
	t.Helper()
	until := time.After(10 * time.Second)
	for {
		select {
		case answer := <-r.delivered:
			if answer == nil && user == "" || answer != nil && user != "" && answer.Contains(user) {
				return
			}
		case <-until:
			t.Fatalf("no such answer: %q", user)
		}
	}
}

func TestTheLoopFollowsTheDaemon(t *testing.T) {
	d := startDaemon(t, shownTo(joe))
	ctx, cancel := context.WithCancel(t.Context())
	homeserver := &recorder{make(chan *pb.PresenceState, 8), make(chan *Answer, 1000)}
	ended := make(chan struct{})
	go func() {
		NewRouter(d.connect(), "example.org").Run(ctx, homeserver.updates, homeserver)
		close(ended)
	}()
	homeserver.expect(t, joe)
	// A new policy: the loop resends Ann's state by itself.
	d.reload(shownTo(sue))
	homeserver.expect(t, sue)

	d.end(syscall.SIGKILL)
	for range 20 {
		// The loop may deliver the first of these before it notices the end of the stream.
		homeserver.ResendAll()
		time.Sleep(20 * time.Millisecond)
	}
	homeserver.expect(t, "")
	d.start(shownTo(joe))
	homeserver.expect(t, joe)
	cancel()
	<-ended
}

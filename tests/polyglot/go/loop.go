// The main loop of a homeserver: it routes updates, follows changes, and reconnects.
//
// Copy this file as you copy sets.go.

package polyglot

import (
	"context"
	"math/rand/v2"
	"time"

	pb "polyglot/gen/presence_router/v1"
)

// Homeserver is the part of a homeserver that the loop calls. No method may wait for the
// loop: ResendAll hands its updates over from another goroutine.
type Homeserver interface {
	// Deliver sends an update to your users and to other servers. Without a verdict
	// recipients is nil: show no presence beyond your own.
	Deliver(state *pb.PresenceState, recipients *Answer)
	// ResendAll routes the state of every user who is not offline again, as updates:
	// some pairs may be visible now that were not.
	ResendAll()
}

// batchStates is far below the daemon's limit, limits.batch_states.
const batchStates = 100

// Run routes updates until the context ends. It never blocks the sender of an update
// for longer than one call of Connect or Audiences takes.
func (r *Router) Run(ctx context.Context, updates <-chan *pb.PresenceState, server Homeserver) {
	for pause := minPause; ctx.Err() == nil; pause = min(2*pause, maxPause) {
		if r.Connect(ctx) == nil {
			pause = minPause
			server.ResendAll()
			r.route(ctx, updates, server)
		}
		// Not connected: no verdict. The jitter keeps many homeservers from connecting
		// to a restarted daemon at the same moment.
		retry := time.After(pause/2 + rand.N(pause))
		for waiting := true; waiting && ctx.Err() == nil; {
			select {
			case state := <-updates:
				server.Deliver(state, nil)
			case <-retry:
				waiting = false
			case <-ctx.Done():
			}
		}
	}
}

const minPause, maxPause = 100 * time.Millisecond, 10 * time.Second

// route routes updates until the stream ends.
func (r *Router) route(ctx context.Context, updates <-chan *pb.PresenceState, server Homeserver) {
	// Read also while there are no updates: heartbeats and changes wait in the stream.
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for known := r.Revision; ; {
		var states []*pb.PresenceState
		select {
		case state := <-updates:
			states = append(states, state)
		case <-tick.C:
		case <-ctx.Done():
			r.Close()
			return
		}
		for len(states) > 0 && len(states) < batchStates && len(updates) > 0 {
			states = append(states, <-updates)
		}
		senders := make([]string, len(states))
		for i, state := range states {
			senders[i] = state.UserId
		}
		answers, err := r.Audiences(senders...)
		for i, state := range states {
			if err == nil {
				server.Deliver(state, answers[i])
			} else {
				server.Deliver(state, nil)
			}
		}
		if err != nil {
			r.Close()
			return
		}
		if r.Revision != known {
			known = r.Revision
			server.ResendAll()
		}
	}
}

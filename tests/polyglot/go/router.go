// A homeserver's end of RouteStates. It keeps each answer until a change.
//
// It shows the duties of a client, one request at a time; a real client answers many
// goroutines. The rules are in the contract, at RouteStatesResponse. Any error means
// "no verdict". Copy this file as you copy sets.go.

// Package polyglot shows how a homeserver written in Go talks to
// presence-router.
package polyglot

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/grpc"

	pb "polyglot/gen/presence_router/v1"
)

// Router has one stream at a time, and the answers that are still valid.
type Router struct {
	client      pb.PresenceRouterServiceClient
	serverNames []string
	// ShareRoom tells who shares a room; set it before Connect. Nil: the daemon sends
	// nothing about rooms.
	ShareRoom ShareRoom
	// RoomCapabilities are what ShareRoom evaluates. NewRouter sets all of them.
	RoomCapabilities []pb.Capability
	// Revision of all kept answers.
	Revision string

	audiences map[string]*Answer // by sender
	interests map[string]*Answer // by recipient

	sets   *Sets
	lastID uint64
	asked  map[uint64][]string
	stream pb.PresenceRouterService_RouteStatesClient
	// Messages of the stream that were not read yet, and the error that ended it.
	responses chan received
	ctx       context.Context
	cancel    context.CancelCauseFunc
	// Two heartbeat intervals without a message end the stream.
	silence  *time.Timer
	patience time.Duration
}

// Answer is the recipients of a sender, or the senders of a recipient.
type Answer struct {
	user string
	set  Set
	// Hides are the fields that must not be shown to some of these users.
	Hides Hides
	// The ids of the sets that the answer refers to. None for "nobody".
	sets []uint64
}

type received struct {
	message *pb.RouteStatesResponse
	err     error
}

// Refused is a request that the daemon refused. The stream goes on.
type Refused struct{ *pb.RequestError }

func (r Refused) Error() string { return r.Message }

var errUnreachable = errors.New("two heartbeats are missing")

// NewRouter returns a router for a homeserver with these server names. Connect opens
// its stream.
func NewRouter(connection grpc.ClientConnInterface, serverNames ...string) *Router {
	client := pb.NewPresenceRouterServiceClient(connection)
	r := &Router{client: client, serverNames: serverNames, RoomCapabilities: RoomCapabilities}
	r.sets = NewSets(nil)
	r.forget()
	return r
}

// Contains tells whether the other user is in the answer.
func (a *Answer) Contains(other string) bool {
	// Team-mates share one set, so it may contain the user that it is for.
	// An unknown fact about rooms shows nothing.
	return other != a.user && a.set(other, a.user) == Yes
}

// Connect opens the stream, for the first time or after it has ended. Answers outlive
// their stream if nothing changed in between. Sets do not.
func (r *Router) Connect(ctx context.Context) error {
	if r.sets.AreEdited() {
		// A user who moved from one list to another is in neither list now, and no
		// Changed will name this user.
		r.forget()
	}
	r.sets, r.lastID, r.asked = NewSets(r.ShareRoom), 0, map[uint64][]string{}
	ctx, cancel := context.WithCancelCause(ctx)
	r.ctx, r.cancel = ctx, cancel
	r.patience = 10 * time.Second
	r.silence = time.AfterFunc(r.patience, func() { cancel(errUnreachable) })
	var err error
	if r.stream, err = r.client.RouteStates(ctx, grpc.WaitForReady(true)); err != nil {
		return r.end(err)
	}
	r.responses = make(chan received, 64)
	go pump(ctx, r.stream, r.responses)
	open := &pb.Open{ServerNames: r.serverNames, ResumeRevision: r.Revision}
	if r.ShareRoom != nil {
		open.Capabilities = r.RoomCapabilities
	}
	if err := r.send(&pb.RouteStatesRequest{Message: &pb.RouteStatesRequest_Open{Open: open}}); err != nil {
		return err
	}
	message, err := r.receive()
	if err != nil {
		return err
	}
	opened := message.GetOpened()
	if opened == nil {
		return r.end(errors.New("the first message is not Opened"))
	}
	r.patience = 2 * opened.HeartbeatInterval.AsDuration()
	r.silence.Reset(r.patience)
	switch r.Revision {
	case "":
		r.Revision = opened.Revision
	case opened.Revision:
	default:
		// This client does not write answers out, and their sets ended with their stream.
		r.forget()
		return r.Follow()
	}
	return nil
}

// Close ends the stream.
func (r *Router) Close() {
	r.silence.Stop()
	r.cancel(context.Canceled)
}

// Audiences returns the recipients of each sender, in the order of the senders.
func (r *Router) Audiences(senders ...string) ([]*Answer, error) {
	if err := r.catchUp(); err != nil {
		return nil, err
	}
	answers := make([]*Answer, len(senders))
	// A change while we ask may void answers that we had.
	for {
		var unknown []string
		for i, user := range senders {
			if answers[i] = r.audiences[user]; answers[i] == nil {
				unknown = append(unknown, user)
			}
		}
		if len(unknown) == 0 {
			return answers, nil
		}
		batch := &pb.StateBatch{BatchId: r.nextID()}
		for _, user := range unknown {
			batch.States = append(batch.States, &pb.PresenceState{UserId: user})
		}
		request := &pb.RouteStatesRequest{Message: &pb.RouteStatesRequest_Batch{Batch: batch}}
		if err := r.wait(unknown, request); err != nil {
			return nil, err
		}
	}
}

// Interest returns the senders that a recipient may see.
func (r *Router) Interest(recipient string) (*Answer, error) {
	if err := r.catchUp(); err != nil {
		return nil, err
	}
	for r.interests[recipient] == nil {
		query := &pb.InterestQuery{QueryId: r.nextID(), UserId: recipient}
		request := &pb.RouteStatesRequest{Message: &pb.RouteStatesRequest_Interest{Interest: query}}
		if err := r.wait([]string{recipient}, request); err != nil {
			return nil, err
		}
	}
	return r.interests[recipient], nil
}

// Follow waits for the next change, which changes the revision.
func (r *Router) Follow() error {
	for {
		message, err := r.read()
		if err != nil || message.GetChanged() != nil || message.GetReset_() != nil {
			return err
		}
	}
}

// catchUp reads the messages that have arrived: they may void answers, or end the
// stream.
func (r *Router) catchUp() error {
	for r.ctx.Err() == nil && len(r.responses) > 0 {
		if _, err := r.read(); err != nil {
			return err
		}
	}
	return context.Cause(r.ctx)
}

func (r *Router) nextID() uint64 {
	r.lastID++
	return r.lastID
}

func (r *Router) wait(users []string, request *pb.RouteStatesRequest) error {
	r.asked[r.lastID] = users
	if err := r.send(request); err != nil {
		return err
	}
	for len(r.asked) > 0 {
		if _, err := r.read(); err != nil {
			return err
		}
	}
	return nil
}

func (r *Router) send(request *pb.RouteStatesRequest) error {
	// An error of Send only means that Recv returns the reason.
	if r.stream.Send(request) != nil {
		_, err := r.receive()
		return err
	}
	return nil
}

func (r *Router) receive() (*pb.RouteStatesResponse, error) {
	select {
	case got := <-r.responses:
		if got.err != nil {
			return nil, r.end(got.err)
		}
		r.silence.Reset(r.patience)
		return got.message, nil
	case <-r.ctx.Done():
		return nil, r.end(context.Cause(r.ctx))
	}
}

// pump moves messages from the stream to a channel, so that a reader can see if one has
// arrived. While the channel is full, the daemon waits.
func pump(ctx context.Context, stream pb.PresenceRouterService_RouteStatesClient, responses chan<- received) {
	for {
		message, err := stream.Recv()
		select {
		case responses <- received{message, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

func (r *Router) end(why error) error {
	r.cancel(why)
	r.Close()
	return why
}

func (r *Router) read() (*pb.RouteStatesResponse, error) {
	message, err := r.receive()
	if err != nil {
		return nil, err
	}
	if err := r.take(message); errors.As(err, &Refused{}) {
		return nil, err
	} else if err != nil {
		return nil, r.end(err)
	}
	return message, nil
}

func (r *Router) take(response *pb.RouteStatesResponse) error {
	switch message := response.GetMessage().(type) {
	case *pb.RouteStatesResponse_SetPart:
		return r.sets.Define(message.SetPart)
	case *pb.RouteStatesResponse_SetEdit:
		return r.sets.Edit(message.SetEdit)
	case *pb.RouteStatesResponse_SetRetired:
		r.sets.Retire(message.SetRetired.Id)
		uses := func(_ string, answer *Answer) bool {
			return slices.Contains(answer.sets, message.SetRetired.Id)
		}
		maps.DeleteFunc(r.audiences, uses)
		maps.DeleteFunc(r.interests, uses)
	case *pb.RouteStatesResponse_Changed:
		return r.changed(message.Changed)
	case *pb.RouteStatesResponse_Reset_:
		r.sets = NewSets(r.ShareRoom)
		r.forget()
		r.Revision = message.Reset_.Revision
	case *pb.RouteStatesResponse_Deliveries:
		return r.rememberBatch(message.Deliveries)
	case *pb.RouteStatesResponse_InterestAnswer:
		for _, user := range r.takeAsked(message.InterestAnswer.QueryId) {
			answer, err := r.answer(user, message.InterestAnswer.SendersSetId, message.InterestAnswer.Hides)
			if err != nil {
				return err
			}
			r.interests[user] = answer
		}
	case *pb.RouteStatesResponse_RequestError:
		r.takeAsked(message.RequestError.GetBatchId() + message.RequestError.GetQueryId())
		return Refused{message.RequestError}
	case *pb.RouteStatesResponse_Heartbeat:
	default:
		// An unknown message may change sets, so none of them is certain now.
		return fmt.Errorf("a message that this client does not know: %T", message)
	}
	return nil
}

func (r *Router) changed(changed *pb.Changed) error {
	r.sets.Changed()
	for _, pairs := range slices.Concat(changed.Gained, changed.Lost) {
		senders, err := r.sets.Compile(pairs.Senders)
		if err != nil {
			return err
		}
		recipients, err := r.sets.Compile(pairs.Recipients)
		if err != nil {
			return err
		}
		// An answer that refers to a set ends with its set, and not by this.
		maps.DeleteFunc(r.audiences, isNobodyAnd(senders))
		maps.DeleteFunc(r.interests, isNobodyAnd(recipients))
	}
	r.Revision = changed.Revision
	return nil
}

func (r *Router) rememberBatch(deliveries *pb.Deliveries) error {
	users := r.takeAsked(deliveries.BatchId)
	answers := map[string]*Answer{}
	for _, one := range deliveries.Deliveries {
		for _, index := range one.StateIndexes {
			if int(index) >= len(users) {
				return fmt.Errorf("a delivery of a state that is in no batch: %d", index)
			}
			user := users[index]
			answer, err := r.answer(user, one.RecipientsSetId, one.Hides)
			if err != nil {
				return err
			}
			answers[user] = answer
		}
	}
	for _, user := range users {
		if answers[user] == nil {
			answers[user] = &Answer{user: user, set: nobody}
		}
		r.audiences[user] = answers[user]
	}
	return nil
}

func (r *Router) answer(user string, id uint64, hides []*pb.Hide) (*Answer, error) {
	answer := &Answer{user: user, set: nobody}
	var err error
	if id != 0 {
		if answer.set, err = r.sets.Get(id); err != nil {
			return nil, err
		}
		answer.sets = append(answer.sets, id)
	}
	for _, hide := range hides {
		answer.sets = append(answer.sets, References(hide.Users)...)
	}
	answer.Hides, err = r.sets.CompileHides(hides, user)
	return answer, err
}

func (r *Router) takeAsked(id uint64) []string {
	users := r.asked[id]
	delete(r.asked, id)
	return users
}

func (r *Router) forget() {
	r.audiences, r.interests = map[string]*Answer{}, map[string]*Answer{}
}

// isNobodyAnd finds the answers "nobody" about users whom Changed names. The sets of Changed
// never refer to rooms.
func isNobodyAnd(named Set) func(string, *Answer) bool {
	return func(user string, answer *Answer) bool { return len(answer.sets) == 0 && named(user, user) != No }
}

func nobody(_, _ string) Truth { return No }

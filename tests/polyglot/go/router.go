// A homeserver's end of RouteStates: asks once, and remembers until told.
//
// Shows what a client must do; a real one would be asked by many goroutines. The
// rules are those at RouteStatesResponse. Any error means "no verdict".

// Package polyglot shows how a homeserver written in Go talks to
// presence-router.
package polyglot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"

	pb "polyglot/gen/presence_router/v1"
)

// Router has one stream at a time, and what it lets us remember.
type Router struct {
	client      pb.PresenceRouterServiceClient
	serverNames []string
	// Revision of all that is remembered.
	Revision string

	audiences map[string]*Answer // by sender
	interests map[string]*Answer // by recipient

	sets   *Sets
	lastID uint64
	asked  map[uint64][]string
	stream pb.PresenceRouterService_RouteStatesClient
	// What has come on it, and whether it has ended.
	responses chan received
	ctx       context.Context
	cancel    context.CancelCauseFunc
	// Two heartbeats without a word end the stream.
	silence  *time.Timer
	patience time.Duration
}

// Answer is the recipients of a sender, or the senders of a recipient.
type Answer struct {
	user  string
	set   Set
	hides []hide
}

type received struct {
	message *pb.RouteStatesResponse
	err     error
}

type hide struct {
	users Set
	*pb.Hide
}

// Refused is a mistake in a request. The stream goes on.
type Refused struct{ *pb.RequestError }

func (r Refused) Error() string { return r.Message }

var errUnreachable = errors.New("two heartbeats are missing")

// NewRouter asks in the name of a homeserver with these server names.
func NewRouter(connection grpc.ClientConnInterface, serverNames ...string) *Router {
	client := pb.NewPresenceRouterServiceClient(connection)
	r := &Router{client: client, serverNames: serverNames, sets: NewSets()}
	r.forget()
	return r
}

// Contains tells whether the other user is in the answer.
func (a *Answer) Contains(other string) bool {
	// Team-mates share one set, so it may hold the very user it is for.
	return other != a.user && a.set(other)
}

// Hidden returns the fields that must not be shown between the two. An unknown
// one hides all, and so does a hide without any, which a later version may send.
func (a *Answer) Hidden(other, presence string) map[pb.PresenceField]bool {
	hidden := map[pb.PresenceField]bool{}
	for _, hide := range a.hides {
		if !hide.users(other) || slices.Contains(hide.UnlessPresence, presence) {
			continue
		}
		if len(hide.Fields) == 0 {
			return allFields()
		}
		for _, field := range hide.Fields {
			if field == 0 || pb.PresenceField_name[int32(field)] == "" {
				return allFields()
			}
			hidden[field] = true
		}
	}
	return hidden
}

// Connect opens the stream; again, when it has ended. Answers outlive their
// stream if nothing has changed since. Sets do not.
func (r *Router) Connect(ctx context.Context) error {
	if r.sets.AreEdited() {
		// Who went over from one list to another is in neither by now, and no
		// Changed would name them.
		r.forget()
	}
	r.sets, r.lastID, r.asked = NewSets(), 0, map[uint64][]string{}
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
	if err := r.send(&pb.RouteStatesRequest{Message: &pb.RouteStatesRequest_Open{Open: open}}); err != nil {
		return err
	}
	message, err := r.receive()
	if err != nil {
		return err
	}
	opened := message.GetOpened()
	if opened == nil {
		return r.end(errors.New("the stream does not open"))
	}
	r.patience = 2 * opened.HeartbeatInterval.AsDuration()
	r.silence.Reset(r.patience)
	switch r.Revision {
	case "":
		r.Revision = opened.Revision
	case opened.Revision:
	default:
		// Changed does not say what else is hidden. A retired set would, and those
		// of our answers are gone with their stream.
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

// Audiences answers who may see each of these users, in their order.
func (r *Router) Audiences(senders ...string) ([]*Answer, error) {
	if err := r.catchUp(); err != nil {
		return nil, err
	}
	answers := make([]*Answer, len(senders))
	// Something may change while we ask, and void what we had.
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

// Interest answers whose presence a user may see.
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

// Follow waits for the next change, after which the revision is another.
func (r *Router) Follow() error {
	for {
		message, err := r.read()
		if err != nil || message.GetChanged() != nil || message.GetReset_() != nil {
			return err
		}
	}
}

// catchUp reads what has come: it may void what is remembered, or end the stream.
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
	// An error of Send says only that there is one to receive.
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

// pump hands on what comes, so that it can be seen whether something has. When
// much waits, the daemon does.
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
		// Which of them use it we do not note: all are asked for again.
		r.forget()
	case *pb.RouteStatesResponse_Changed:
		return r.changed(message.Changed)
	case *pb.RouteStatesResponse_Reset_:
		r.sets = NewSets()
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
		// Whatever it says, we can no longer tell what is current.
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
		void(r.audiences, senders)
		void(r.interests, recipients)
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
	}
	for _, one := range hides {
		users, err := r.sets.Compile(one.Users)
		if err != nil {
			return nil, err
		}
		answer.hides = append(answer.hides, hide{users, one})
	}
	return answer, nil
}

func (r *Router) takeAsked(id uint64) []string {
	users := r.asked[id]
	delete(r.asked, id)
	return users
}

func (r *Router) forget() {
	r.audiences, r.interests = map[string]*Answer{}, map[string]*Answer{}
}

func void(answers map[string]*Answer, named Set) {
	for user := range answers {
		if named(user) {
			delete(answers, user)
		}
	}
}

func nobody(string) bool { return false }

func allFields() map[pb.PresenceField]bool {
	all := map[pb.PresenceField]bool{}
	for field := range pb.PresenceField_name {
		if field != 0 {
			all[pb.PresenceField(field)] = true
		}
	}
	return all
}

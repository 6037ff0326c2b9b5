// A client that sends many requests before it reads the first answer. Its connection
// must stay open, although the daemon's HTTP/2 library counts small unread messages and
// closes connections with too many.

package polyglot

import (
	"context"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "polyglot/gen/presence_router/v1"
)

// queries are sent before the first answer is read.
const queries = 100_000

// window holds all answers, so that the daemon never waits for this client.
const window = 64 << 20

func TestManyQueriesBeforeTheFirstAnswerIsRead(t *testing.T) {
	d := startDaemon(t, "rules: [{ name: all, allow: { from: everyone, to: \"@joe:example.org\" } }]")
	connection, err := grpc.NewClient("unix:"+d.file("router.sock"),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window))
	must(t, err)
	defer connection.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	stream, err := pb.NewPresenceRouterServiceClient(connection).RouteStates(ctx)
	must(t, err)

	open := &pb.Open{ServerNames: []string{"example.org"}}
	must(t, stream.Send(&pb.RouteStatesRequest{Message: &pb.RouteStatesRequest_Open{Open: open}}))
	for id := uint64(1); id <= queries; id++ {
		query := &pb.InterestQuery{QueryId: id, UserId: "@joe:example.org"}
		request := &pb.RouteStatesRequest{Message: &pb.RouteStatesRequest_Interest{Interest: query}}
		if err := stream.Send(request); err != nil {
			// Recv returns the reason.
			_, err = stream.Recv()
			t.Fatalf("query %d was not sent: %v", id, err)
		}
	}
	must(t, stream.CloseSend())

	answered := uint64(0)
	for {
		response, err := stream.Recv()
		if err == io.EOF {
			break
		}
		must(t, err)
		if answer := response.GetInterestAnswer(); answer != nil {
			answered++
			if answer.QueryId != answered {
				t.Fatalf("answer %d is to query %d", answered, answer.QueryId)
			}
		}
	}
	if answered != queries {
		t.Fatalf("%d of %d queries were answered", answered, queries)
	}
}

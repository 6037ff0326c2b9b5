// A presence-router daemon for tests: the binary, its policy file, its socket.

package polyglot

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// daemon is a daemon on a Unix socket. Tests can kill it and start it again.
type daemon struct {
	t       *testing.T
	folder  string
	process *exec.Cmd
	log     chan struct{}
}

// startDaemon starts a daemon with a policy, and ends it with the test.
func startDaemon(t *testing.T, policy string) *daemon {
	t.Helper()
	d := &daemon{t: t, folder: t.TempDir()}
	d.start(policy)
	t.Cleanup(func() { d.end(syscall.SIGTERM) })
	return d
}

func (d *daemon) start(policy string) {
	d.t.Helper()
	d.write(policy)
	d.process = exec.Command(os.Getenv("PRESENCE_ROUTER_BIN"), "serve",
		"--policy", d.file("policy.yaml"), "--listen-unix", d.file("router.sock"))
	log, err := d.process.StderrPipe()
	must(d.t, err)
	must(d.t, d.process.Start())
	lines := bufio.NewReader(log)
	for said := ""; ; {
		line, err := lines.ReadString('\n')
		said += line
		if err != nil {
			d.t.Fatalf("the daemon ended: %s", said)
		}
		if strings.Contains(line, "serving") {
			break
		}
	}
	d.log = make(chan struct{})
	go func() {
		// Read on, so that the daemon never waits for room in the pipe.
		_, _ = io.Copy(io.Discard, lines)
		close(d.log)
	}()
}

// reload makes the daemon load another policy.
func (d *daemon) reload(policy string) {
	d.t.Helper()
	d.write(policy)
	must(d.t, d.process.Process.Signal(syscall.SIGHUP))
}

func (d *daemon) end(signal os.Signal) {
	must(d.t, d.process.Process.Signal(signal))
	<-d.log
	_ = d.process.Wait()
}

func (d *daemon) connect() *grpc.ClientConn {
	d.t.Helper()
	return connect(d.t, "unix:"+d.file("router.sock"))
}

func (d *daemon) write(policy string) {
	must(d.t, os.WriteFile(d.file("policy.yaml"), []byte(policy), 0o600))
}

func (d *daemon) file(name string) string { return filepath.Join(d.folder, name) }

func connect(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

// openRouter opens a stream, and closes it with the test.
func openRouter(t *testing.T, connection *grpc.ClientConn, serverNames ...string) *Router {
	t.Helper()
	router := NewRouter(connection, serverNames...)
	must(t, router.Connect(t.Context()))
	t.Cleanup(router.Close)
	return router
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

"""A presence-router daemon for tests: the binary, its policy file, its socket."""

import os
import signal
import subprocess
import threading
from pathlib import Path

import grpc

# Much longer than any step takes: a step that takes longer hangs.
LONG = 60.0


class Daemon:
    """One daemon on a Unix socket. Tests can kill it and start it again."""

    def __init__(self, folder: Path, policy: str) -> None:
        self.address = f"unix:{folder / 'router.sock'}"
        self._policy = folder / "policy.yaml"
        self.start(policy)

    def start(self, policy: str) -> None:
        """Starts the daemon with a policy, and waits until its log says that it serves."""
        self._policy.write_text(policy)
        binary = os.environ["PRESENCE_ROUTER_BIN"]
        self._process = subprocess.Popen(
            [binary, "serve", "--policy", self._policy, "--listen-unix", self.address[5:]],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        log = ""
        for line in self._process.stderr:
            log += line
            if "serving" in line:
                # Read on, so that the daemon never waits for room in the pipe.
                self._log = threading.Thread(target=self._process.stderr.read)
                return self._log.start()
        raise AssertionError(f"the daemon ended: {log}")

    def reload(self, policy: str) -> None:
        """Makes the daemon load another policy."""
        self._policy.write_text(policy)
        self._process.send_signal(signal.SIGHUP)

    def end(self, number: int = signal.SIGTERM) -> None:
        """Ends the daemon by a signal."""
        self._process.send_signal(number)
        self._process.wait(LONG)
        self._log.join(LONG)
        self._process.stderr.close()


def channel(address: str) -> grpc.Channel:
    """A channel to a daemon.

    For a Unix socket grpcio makes an authority out of the path. HTTP/2 does not allow
    such an authority, so the daemon's HTTP/2 library refuses every call.
    """
    return grpc.insecure_channel(address, [("grpc.default_authority", "localhost")])

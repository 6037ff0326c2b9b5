"""PostgreSQL and Redis of a test's own: private, on Unix sockets, gone with the test.

No service of the system is touched. As root, PostgreSQL runs as the user
`postgres`, as it refuses to run as root.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from daemon import LONG, until


class Database:
    """A PostgreSQL with one database, which Synapse may use."""

    def __init__(self) -> None:
        # Not below pytest's directories, which are for one user only.
        self._directory = Path(tempfile.mkdtemp(prefix="presence-router-pg-"))
        self.log = self._directory / "postgres.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._account: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._account = {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(self._directory, "postgres", "postgres")

    def start(self) -> None:
        """Makes it, starts it, and waits until it has the database."""
        data = self._directory / "data"
        self._run(
            "initdb", "--pgdata", data, "--username", "synapse", "--auth", "trust",
            "--encoding", "UTF8", "--locale", "C", "--no-sync",
        )  # fmt: skip
        command = [
            _program("postgres"), "-D", data, "-k", self._directory, "-c", "listen_addresses=",
            "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off",
        ]  # fmt: skip
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self._directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                **self._account,
            )  # fmt: skip
        until(lambda: self._answers() or self._process.poll() is not None, "PostgreSQL answers")
        self._run("createdb", "-h", self._directory, "-U", "synapse", "synapse")

    def config(self) -> dict[str, Any]:
        """The `database:` of a homeserver.yaml."""
        args = {"user": "synapse", "dbname": "synapse", "host": str(self._directory)}
        return {"name": "psycopg2", "args": args | {"cp_min": 1, "cp_max": 5}}

    def stop(self) -> None:
        """Ends it, with whoever is connected, and removes it."""
        if self._process is not None and self._process.poll() is None:
            # Immediately: nobody wants the data.
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(LONG)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _answers(self) -> bool:
        command = [_program("pg_isready"), "-q", "-h", self._directory, "-U", "synapse"]
        return subprocess.run(command, cwd=self._directory).returncode == 0

    def _run(self, program: str, *args: Any) -> None:
        done = subprocess.run(
            [_program(program), *args], cwd=self._directory, capture_output=True, text=True,
            **self._account,
        )  # fmt: skip
        assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"


class Redis:
    """A Redis, which can be killed and started again."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.log = socket.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and waits until it answers."""
        assert shutil.which("redis-server"), "there is no redis-server: install Redis"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["redis-server", "--port", "0", "--unixsocket", self.socket, "--save", "",
                 "--dir", self.socket.parent],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        until(lambda: self._answers() or self._process.poll() is not None, "Redis answers")
        assert self._process.poll() is None, self.log.read_text()

    def stop(self) -> None:
        """Kills it: it has nothing to keep."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(LONG)

    def _answers(self) -> bool:
        command = ["redis-cli", "-s", self.socket, "ping"]
        return subprocess.run(command, capture_output=True).stdout == b"PONG\n"


def _program(name: str) -> str:
    """Where a program of PostgreSQL is: Debian has the server's not in PATH."""
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    found = str(places[0]) if places else shutil.which(name)
    assert found, f"there is no {name}: install PostgreSQL, as tests/synapse/run does on Debian"
    return found

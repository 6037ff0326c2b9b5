"""A real Synapse for tests: its own process, SQLite, loopback, no federation.

`Process` is any process of a Synapse; those of workers and of a Synapse that
federates are in `workers.py` and `federation.py`.
"""

import base64
import os
import re
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import requests
import yaml
from daemon import LONG, SERVER, until
from matrix import User, session

MODULE = "presence_router.synapse.PresenceRouterModule"

# Of the Synapse that is tested.
VERSION = tuple(int(part) for part in version("matrix-synapse").split("."))

# Limits would be hit by tests, and by nothing that they are there for.
_UNLIMITED = {"per_second": 100_000, "burst_count": 100_000}

# Nobody goes offline by itself: presence is set by tests only.
_PRESENCE = {"enabled": True, "sync_online_timeout": "1h", "idle_timeout": "2h"}

# An application service that nobody calls: its token may act for its users.
_CROWD = {
    "id": "crowd",
    "url": None,
    "as_token": "as-token-of-the-crowd",
    "hs_token": "hs-token-of-the-crowd",
    "sender_localpart": "crowd-service",
    "rate_limited": False,
    "namespaces": {"users": [{"regex": "@crowd[0-9]*:.*", "exclusive": True}]},
}

# Lines that Synapse logs when a module breaks its rules.
_COMPLAINTS = (
    "Traceback (most recent call last)",
    "Expected logging context",
    "metrics will be lost",
    "did not maintain the calling logcontext",
    "Re-starting finished log context",
    "Called stop on logcontext",
    "swap_current_context called",
    "Failed to run module API callback",
    "Wrong type returned by module API callback",
    "AlreadyCalledError",
    "Unhandled error",
)


class Process:
    """One process of a Synapse: an app of it, its configuration files, a port for clients.

    Its log configuration lies in `NAME.log.yaml`, its log in `NAME.log`, and what it
    prints in `NAME.out`.
    """

    # Whether it is signalled with all that it forked.
    _own_session = False

    def __init__(self, directory: Path, name: str, app: str, configs: list[str]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.name = name
        self._directory = directory
        self._command = [sys.executable, "-m", app]
        for config in configs:
            self._command += ["-c", config]
        self._process: subprocess.Popen[bytes] | None = None
        self.log = directory / f"{name}.log"
        self.output = directory / f"{name}.out"
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._session = requests.Session()
        (directory / f"{name}.log.yaml").write_text(yaml.safe_dump(self._logging()))

    def start(self, ready: bool = True) -> None:
        """Starts it and waits until it answers, or with `ready` off, ends."""
        self.begin_start()
        if ready:
            self.finish_start()
        else:
            self._process.wait(LONG)

    def begin_start(self) -> None:
        """Starts it."""
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._directory, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=self._own_session,
            )  # fmt: skip

    def finish_start(self) -> None:
        """Waits until it answers, once its start has begun."""
        until(lambda: self.answers or self._process.poll() is not None, "Synapse answers")
        assert self._process.poll() is None, self.output.read_text()

    def wait(self) -> None:
        """Waits until it answers, whoever started it."""
        until(lambda: self.answers, f"{self.name} answers")

    @property
    def code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.poll() if self._process else None

    def stop(self) -> None:
        """Ends it, and fails if it did not like to."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(LONG)
            raise

    def kill(self) -> None:
        """Kills it with SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(LONG)

    def complaints(self) -> list[str]:
        """Lines of its log that say that our module broke Synapse's rules."""
        lines = (self.log.read_text() if self.log.exists() else "").splitlines()
        return [line for line in lines if any(word in line for word in _COMPLAINTS)]

    def our_log(self) -> list[str]:
        """Lines of its log that our module wrote, above debug."""
        return [line for line in self.log.read_text().splitlines() if " presence_router - " in line]

    def transactions(self) -> list[str]:
        """The servers to which it sent transactions, one for each transaction."""
        sent = (
            r"\[(\S+)\] Completed request: 200 .* PUT matrix-federation://\S+/federation/v1/send/"
        )
        return re.findall(sent, self.log.read_text())

    def metrics(self) -> dict[str, float]:
        """Its metrics: name with labels, and value."""
        text = self._session.get(f"{self.url}/_synapse/metrics", timeout=LONG).text
        samples = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in samples}

    def our_warnings(self) -> list[str]:
        """Those of them that an operator should read."""
        return [line for line in self.our_log() if " - INFO - " not in line]

    @property
    def answers(self) -> bool:
        """Whether it answers at all."""
        try:
            return self._session.get(f"{self.url}/_matrix/client/versions", timeout=LONG).ok
        except requests.ConnectionError:
            return False

    def _logging(self) -> dict[str, Any]:
        file = {"class": "logging.FileHandler", "filename": self.log.name, "formatter": "f"}
        return {
            "version": 1,
            "formatters": {"f": {"format": "%(asctime)s - %(name)s - %(levelname)s - %(message)s"}},
            "handlers": {"file": file},
            "root": {"level": "INFO", "handlers": ["file"]},
            "disable_existing_loggers": False,
        }


class Homeserver(Process):
    """One Synapse: its main process, which is all of it unless there are workers."""

    def __init__(self, directory: Path, **config: Any) -> None:
        super().__init__(directory, "homeserver", "synapse.app.homeserver", ["homeserver.yaml"])
        seed = base64.b64encode(os.urandom(32)).decode().rstrip("=")
        (directory / "signing.key").write_text(f"ed25519 a_test {seed}\n")
        (directory / "crowd.yaml").write_text(yaml.safe_dump(_CROWD))
        (directory / "homeserver.yaml").write_text(
            yaml.safe_dump(self._config(self._port) | config)
        )

    def register(self, name: str) -> User:
        """Registers a user, as a client does."""
        auth = {"type": "m.login.dummy"}
        body = {"username": name, "password": "pw", "auth": auth}
        answer = self._session.post(
            f"{self.url}/_matrix/client/v3/register", json=body, timeout=LONG
        )
        answer.raise_for_status()
        return User(self.url, answer.json()["user_id"], session(answer.json()["access_token"]))

    def register_crowd(self, count: int) -> list[User]:
        """Registers many users, `crowd0` and so on, online and with a status.

        As an application service, which needs neither passwords nor devices: a
        third of the time.
        """
        service = session(_CROWD["as_token"])

        def register(number: int) -> User:
            name = f"crowd{number}"
            body = {
                "type": "m.login.application_service",
                "username": name,
                "inhibit_login": True,
            }
            url = f"{self.url}/_matrix/client/v3/register"
            service.post(url, json=body, timeout=LONG).raise_for_status()
            user = User(self.url, f"@{name}:{SERVER}", service, acts_for=f"@{name}:{SERVER}")
            user.set_presence("online", f"hello from {user.id}")
            return user

        # Synapse has one thread: more than a few at a time do not help.
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(register, range(count)))

    def _config(self, port: int) -> dict[str, Any]:
        limits = ("rc_message", "rc_registration", "rc_admin_redaction", "rc_joins_per_room")
        return {
            "server_name": SERVER,
            "report_stats": False,
            "pid_file": "homeserver.pid",
            "signing_key_path": "signing.key",
            "log_config": "homeserver.log.yaml",
            "media_store_path": "media",
            "database": {"name": "sqlite3", "args": {"database": "homeserver.db"}},
            # Without the resource `federation`.
            "listeners": [
                {
                    "port": port,
                    "type": "http",
                    "bind_addresses": ["127.0.0.1"],
                    "resources": [{"names": ["client", "metrics"]}],
                }
            ],
            "app_service_config_files": ["crowd.yaml"],
            "trusted_key_servers": [],
            "federation_domain_whitelist": [],
            "enable_metrics": True,
            "enable_registration": True,
            "enable_registration_without_verification": True,
            "registration_shared_secret": "secret",
            "macaroon_secret_key": "secret",
            "form_secret": "secret",
            "bcrypt_rounds": 4,
            # Two equal /sync are two questions.
            "caches": {"sync_response_cache_duration": 0},
            "presence": _PRESENCE,
            **dict.fromkeys(limits, _UNLIMITED),
            "rc_presence": {"per_user": _UNLIMITED},
            "rc_login": dict.fromkeys(("address", "account", "failed_attempts"), _UNLIMITED),
            "rc_joins": {"local": _UNLIMITED, "remote": _UNLIMITED},
        }


def free_port() -> int:
    """A port of loopback that nobody has at this moment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def module(address: str, interface: str = "modules", **config: Any) -> dict[str, Any]:
    """What loads the module in a homeserver.yaml. The deadline is for slow machines."""
    defaults = {"address": address, "deadline_ms": 2000}
    entry = {"module": MODULE, "config": defaults | config}
    if interface == "legacy":
        return {"presence": _PRESENCE | {"presence_router": entry}}
    return {"modules": [entry]}


def module_of_tests(directory: Path, name: str, **config: Any) -> dict[str, Any]:
    """The entry of `modules:` for a Synapse module of the folder `modules`.

    The module's file goes into the directory in which Synapse runs, where Python finds it.
    """
    file = f"{name.partition('.')[0]}.py"
    shutil.copy(Path(__file__).with_name("modules") / file, directory)
    return {"module": name, "config": config}

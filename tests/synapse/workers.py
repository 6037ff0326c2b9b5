"""A Synapse of several processes: main, worker for /sync, presence writer, federation sender.

They are configured as the page `workers.md` says it, each listens for clients, and each
loads the module. With PostgreSQL and Redis, which Synapse demands for it.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from daemon import LONG, Daemon, until
from federation import Authority, reachable
from homeserver import Homeserver, Process, module_of_tests
from page import block
from postgres import Database, Redis

PAGE = "workers.md"
SHARED = "homeserver.yaml, shared by all processes"

MAIN = "synapse.app.homeserver"
WORKER = "synapse.app.generic_worker"
LAUNCHER = "synapse.app.complement_fork_starter"

SENDER = "federation_sender1"


class Worker(Process):
    """One worker. Its configuration is the block of the page that has its name.

    The page has one federation sender; others are configured like it, by their own names.
    """

    def __init__(self, directory: Path, run: Path, name: str) -> None:
        super().__init__(directory, name, WORKER, ["homeserver.yaml", f"{name}.yaml"])
        on_page = re.sub(r"^federation_sender\d+$", SENDER, name)
        text = block(PAGE, f"{on_page}.yaml").replace(on_page, name)
        config = yaml.safe_load(_here(text, run))
        for listener in config["worker_listeners"]:
            if "port" in listener:
                listener["port"] = self._port
        self._pid_file = directory / f"{name}.pid"
        self._daemonized = False
        config["worker_pid_file"] = str(self._pid_file)
        (directory / f"{name}.yaml").write_text(yaml.safe_dump(config))

    def start_daemonized(self) -> None:
        """Starts it so that it forks when it has read its configuration."""
        forks = self._directory / f"{self.name}.forks.yaml"
        forks.write_text(yaml.safe_dump({"worker_daemonize": True}))
        self._daemonized = True
        with self.output.open("ab") as output:
            subprocess.run(
                [*self._command, "-c", forks.name], cwd=self._directory, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, timeout=LONG, check=True,
            )  # fmt: skip
        self.wait()

    def kill(self) -> None:
        """Kills it with SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(LONG)

    def stop(self) -> None:
        """Ends it, also when it is a daemon."""
        super().stop()
        if self._daemonized and self._pid_file.exists():
            os.kill(int(self._pid_file.read_text()), signal.SIGKILL)
            until(lambda: not self.answers, f"{self.name} has ended")
            self._pid_file.unlink()
        self._daemonized = False


class Launcher(Process):
    """Synapse's own launcher, which imports everything once and forks all processes."""

    _own_session = True

    def __init__(self, cluster: "Cluster") -> None:
        super().__init__(cluster.directory, "launcher", LAUNCHER, [])
        self.url = cluster.main.url
        self._command.append("homeserver.yaml")
        for process in cluster.processes:
            app, configs = MAIN, ["-c", "homeserver.yaml"]
            if process is not cluster.main:
                app, configs = WORKER, [*configs, "-c", f"{process.name}.yaml"]
            # What it imports before it forks: ours as well, as if Synapse did.
            preloaded = f"preloaded_{process.name}"
            (self._directory / f"{preloaded}.py").write_text(
                f"import presence_router.synapse\nfrom {app} import main\n"
            )
            self._command += [preloaded, *configs, "--"]

    def stop(self) -> None:
        """Ends it and all that it forked."""
        try:
            super().stop()
        finally:
            if self._process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)


class Cluster:
    """All of it, and the daemon that every process asks.

    `modules` are other Synapse modules that each process loads, `config` is added to the
    configuration of ours. With a `server_name`, other servers can reach it.
    """

    def __init__(
        self,
        directory: Path,
        authority: Authority,
        workers: tuple[str, ...] = ("sync1", "presence1", SENDER),
        modules: tuple[str, ...] = (),
        server_name: str | None = None,
        **config: Any,
    ) -> None:
        self.directory = directory / "synapse"
        run = directory
        for place in ("synapse", "redis", "presence-router"):
            (run / place).mkdir()
        self.daemon = Daemon(run / "presence-router", "presence-router")
        self.daemon.settling = 0.1
        self.redis = Redis(run / "redis" / "redis.sock")
        self.database = Database()
        shared: dict[str, Any] = yaml.safe_load(_here(block(PAGE, SHARED), run))
        # For slow machines.
        shared["modules"][0]["config"] |= {"deadline_ms": 2000, **config}
        shared["modules"] += [module_of_tests(self.directory, name) for name in modules]
        shared["federation_sender_instances"] = [
            name for name in workers if name.startswith("federation_sender")
        ]
        self.main = _Main(self.directory, authority, self.database.config(), shared, server_name)
        self.workers = {name: Worker(self.directory, run, name) for name in workers}
        self.processes: list[Process] = [self.main, *self.workers.values()]
        self.parts = [self.database, self.redis, self.daemon, *self.processes]

    @property
    def sync(self) -> Worker:
        """The worker that answers /sync."""
        return self.workers["sync1"]

    @property
    def writer(self) -> Worker:
        """The worker that writes presence."""
        return self.workers["presence1"]

    @property
    def sender(self) -> Worker:
        """The first worker that sends to other servers."""
        return self.workers[SENDER]

    def start(self) -> None:
        """Starts all: first the main process, which makes the tables, then all workers at
        the same time."""
        for part in self.parts[: -len(self.workers)]:
            part.start()
        for worker in self.workers.values():
            worker.begin_start()
        for worker in self.workers.values():
            worker.finish_start()

    def stop(self) -> None:
        """Ends all, whatever they say."""
        for part in reversed(self.parts):
            try:
                part.stop()
            except Exception as why:
                print(f"{part}: {why!r}", file=sys.stderr)

    def asked(self, process: Process, callback: str) -> float:
        """How many questions of Synapse in a process were answered, by the daemon or from memory."""
        metrics = process.metrics()
        asked = f'presence_router_requests_total{{callback="{callback}",outcome="ok"}}'
        hits = f'presence_router_hits_total{{callback="{callback}"}}'
        return metrics.get(asked, 0.0) + metrics.get(hits, 0.0)


class _Main(Homeserver):
    """The main process, whose file is that of all."""

    def __init__(
        self,
        directory: Path,
        authority: Authority,
        database: Any,
        shared: dict[str, Any],
        server_name: str | None,
    ) -> None:
        self._shared = shared | authority.trusted() | {"database": database}
        self._authority = authority
        self._server_name = server_name
        super().__init__(directory)

    def _config(self, port: int) -> dict[str, Any]:
        config = super()._config(port)
        listeners = config["listeners"] + self._shared["listeners"]
        config = config | self._shared | {"listeners": listeners}
        if self._server_name is None:
            return config
        return reachable(config, self._authority, self._server_name)


def _here(text: str, run: Path) -> str:
    """A block of the page, with the test's directory for `/run`."""
    return text.replace("/run/", f"{run}/")

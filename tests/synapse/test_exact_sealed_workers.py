"""The seal of a real Synapse of several processes: each has its own, and the command tells of a
worker that has none."""

from pathlib import Path

import pytest
import yaml
from exact import decides_about_servers
from federation import Authority
from presence_router.check_seal import main as check_seal
from workers import Cluster


@decides_about_servers
def test_a_worker_without_the_module_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = Cluster(tmp_path, Authority(tmp_path), local="exact", federation="exact")
    pages = [f"{process.url}/_synapse/metrics" for process in cluster.processes]
    file = cluster.directory / "sync1.yaml"
    config = yaml.safe_load(file.read_text())

    def check() -> tuple[int, list[str]]:
        code = check_seal(pages)
        return code, [line.split(": ", 1)[1] for line in capsys.readouterr().out.splitlines()]

    sealed = "sealed, also federation"
    try:
        file.write_text(yaml.safe_dump(config | {"modules": []}))
        cluster.start()
        code, lines = check()
        assert code == 1
        assert [process.name for process in cluster.processes][1] == "sync1"
        assert "it has not loaded the module" in lines.pop(1)
        assert lines == [sealed] * 3

        cluster.sync.stop()
        code, lines = check()
        assert code == 2 and lines[1].startswith("cannot be read: ")

        file.write_text(yaml.safe_dump(config))
        cluster.sync.start()
        assert check() == (0, [sealed] * 4)
        # A worker that ends complains of its connection to Redis.
        others = [process for process in cluster.processes if process is not cluster.sync]
        assert [process.complaints() for process in others] == [[]] * 3
    finally:
        cluster.stop()

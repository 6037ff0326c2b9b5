"""The package's types: checked strictly, and the stub of the compiled half against
what is really in it."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy", reason="installed beside the newest Synapse only")

PROJECT = Path(__file__).parents[2] / "client/python"


def mypy(module: str, *arguments: str | Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, cwd=PROJECT
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_package_is_typed(tmp_path: Path) -> None:
    mypy("mypy", "--cache-dir", tmp_path, "python/presence_router")


def test_the_stub_says_what_the_compiled_half_has(tmp_path: Path) -> None:
    types = tmp_path / "types"
    # Names for types, which exist for type checkers only.
    names = (
        "Done", "Gain", "Hidden", "Known", "MissingFact", "Room", "RoomVerdict", "Routes",
        "SharedRooms", "Verdicts",
    )  # fmt: skip
    types.write_text("".join(f"presence_router._native.{name}\n" for name in names))
    config = ("--mypy-config-file", PROJECT / "pyproject.toml")
    mypy("mypy.stubtest", "presence_router._native", "--allowlist", types, *config)

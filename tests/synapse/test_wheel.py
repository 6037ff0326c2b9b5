"""The wheel that `maturin build` makes, as tests/synapse/run made it."""

import os
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# The page for operators says it. Of a wheel built elsewhere it may be a lower one.
TAG = "cp310-abi3-manylinux_2_34_x86_64"


@pytest.fixture(scope="module")
def wheel() -> Path:
    if "PRESENCE_ROUTER_WHEELS" not in os.environ:
        pytest.skip("made by tests/synapse/run")
    (wheel,) = Path(os.environ["PRESENCE_ROUTER_WHEELS"]).glob("*.whl")
    return wheel


def glibc(tag: str) -> tuple[int, ...]:
    """The version of glibc that a platform tag asks for."""
    python, abi, platform = tag.split("-")
    assert (python, abi) == ("cp310", "abi3")
    assert platform.startswith("manylinux_") and platform.endswith("_x86_64"), platform
    return tuple(int(part) for part in platform.split("_")[1:3])


def test_it_runs_wherever_the_readme_says(wheel: Path) -> None:
    assert glibc(wheel.stem.split("-", 2)[2]) <= glibc(TAG)
    assert TAG.rpartition("-")[2] in (ROOT / "client/python/README.md").read_text()


def test_it_holds_the_package_its_types_and_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        files = {Path(name).name: name for name in archive.namelist()}
        assert archive.read(files["LICENSE"]) == (ROOT / "LICENSE").read_bytes()
        package = ROOT / "client/python/python/presence_router"
        for file in package.rglob("*"):
            if file.suffix in (".py", ".pyi", ".typed"):
                name = f"presence_router/{file.relative_to(package).as_posix()}"
                assert archive.read(name) == file.read_bytes()
        assert "presence_router/_native.abi3.so" in archive.namelist()
        # Nothing else is installed.
        tops = {name.partition("/")[0].partition("-")[0] for name in archive.namelist()}
        assert tops == {"presence_router"}

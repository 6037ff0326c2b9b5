"""What the processes of a test wrote last, for whoever must find out why it failed."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_LINES = 150


def tails(parts: Iterable[Any]) -> list[tuple[str, str]]:
    """The ends of the files that parts of a world write: titles and texts."""
    found = []
    for part in parts:
        for kind in ("log", "output"):
            path = getattr(part, kind, None)
            if isinstance(path, Path) and path.exists():
                lines = path.read_text(errors="replace").splitlines()[-_LINES:]
                found.append((f"{path.parent.name}/{path.name} (end)", "\n".join(lines)))
    return found


@contextmanager
def shown(parts: Iterable[Any]) -> Iterator[None]:
    """Shows them with whatever goes wrong within, before pytest knows of the parts."""
    try:
        yield
    except Exception as why:
        ends = "".join(f"\n--- {title}\n{text}" for title, text in tails(parts))
        raise AssertionError(f"{why}{ends}") from why

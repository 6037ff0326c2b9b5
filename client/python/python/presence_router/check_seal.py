"""Tells from the metrics of Synapse's processes if the seal of `local: exact` holds in each.

    python -m presence_router.check_seal http://localhost:9101/_synapse/metrics ..

It needs neither Synapse nor the daemon, only the metrics pages.
"""

import argparse
import sys
from collections.abc import Sequence
from urllib.error import URLError
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

_SEALED = "presence_router_sealed"

# Every process with the module has it.
_OF_MODULE = "presence_router_reachable"

# Only `federation: exact` has it.
_PART_OF_FEDERATION = "excluded_rooms"

# In seconds. A busy Synapse needs a while for its metrics.
_TIMEOUT = 15.0

_DESCRIPTION = """\
Reads the metrics page of each process of a Synapse, and says if the seal of presence-router holds
there, so that nobody sees a presence that the policy does not show.

Give the page of EVERY process: the main process and all workers. A worker that does not load the
module behaves as a Synapse without it, and shows presence to everybody in a shared room. A process
that is not named here is not checked.
"""

_EPILOG = """\
One line for each process:
  URL: sealed                      local: exact holds
  URL: sealed, also federation     local: exact and federation: exact hold
  URL: NOT SEALED: ..              what shows presence around the policy, and why

Exit code:
  0  every process is sealed
  1  one process or more is not sealed
  2  no process is known to be open, but a page cannot be read; also for wrong arguments

A process needs `enable_metrics: true` and a listener of the type `metrics`, or one of the type
`http` with the resource `metrics`. To be told at once, alert on the metric itself:
  min by (instance) (presence_router_sealed) < 1, and absent(presence_router_sealed) per process
"""


class Unreadable(Exception):
    """A page that is not there, or is no metrics page."""


def read_page(url: str) -> str:
    """Returns the text of a metrics page. Raises Unreadable."""
    if not url.startswith(("http://", "https://")):
        raise Unreadable("write http://host:port/_synapse/metrics")
    try:
        with urlopen(url, timeout=_TIMEOUT) as answer:
            page: bytes = answer.read()
    except (OSError, URLError, ValueError) as why:
        raise Unreadable(str(getattr(why, "reason", why) or why)) from why
    except Exception as why:
        # What is no HTTP, for example.
        raise Unreadable(repr(why)) from why
    return page.decode(errors="replace")


def problem_of(page: str) -> str | None:
    """Returns why a process with this page is not sealed; None: it is. Raises Unreadable."""
    parts = _parts_of(page)
    if parts is None:
        return (
            "it runs with `local: add`"
            if f"\n{_OF_MODULE} " in f"\n{page}"
            else "it has not loaded the module, and shows presence as any Synapse does"
        )
    missing = sorted(part for part, is_in_place in parts.items() if not is_in_place)
    if missing:
        return f"something else replaced {', '.join(missing)}; its log says more"
    return None


def covers_federation(page: str) -> bool:
    """Returns true if the process runs with `federation: exact`."""
    return _PART_OF_FEDERATION in (_parts_of(page) or {})


def _parts_of(page: str) -> dict[str, bool] | None:
    """Returns for each part of the seal if it is in place; None: there is no seal."""
    try:
        families = list(text_string_to_metric_families(page))
    except Exception as why:
        raise Unreadable("this is no metrics page") from why
    if not any(family.samples for family in families):
        raise Unreadable("there are no metrics on this page")
    parts = {
        sample.labels.get("part", "unknown"): sample.value == 1
        for family in families
        if family.name == _SEALED
        for sample in family.samples
    }
    return parts or None


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a line for each page, and returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m presence_router.check_seal",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "urls",
        nargs="+",
        metavar="URL",
        help="a metrics page, such as http://localhost:9101/_synapse/metrics",
    )
    code = 0
    for url in parser.parse_args(arguments).urls:
        try:
            page = read_page(url)
            problem = problem_of(page)
        except Unreadable as why:
            print(f"{url}: cannot be read: {why}")
            code = code or 2
            continue
        if problem is not None:
            print(f"{url}: NOT SEALED: {problem}")
            code = 1
        else:
            print(f"{url}: sealed{', also federation' if covers_federation(page) else ''}")
    return code


if __name__ == "__main__":
    sys.exit(main())

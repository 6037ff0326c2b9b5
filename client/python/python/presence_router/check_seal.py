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
from prometheus_client.samples import Sample

_SEALED = "presence_router_sealed"

# Every process with the module has it.
_REACHABLE = "presence_router_reachable"

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
  URL: sealed, also federation     local: exact and federation: exact hold
  URL: sealed for local users; other servers get presence as with `federation: add`
                                   local: exact holds
  URL: NOT SEALED: ..              what shows presence around the policy, and why

"; the daemon is away .." after it: the process has no connection to presence-router, and what
it shows then depends on `when_away`.

Exit code:
  0  every process is sealed
  1  one process or more is not sealed, with --federation also for other servers
  2  no process is known to be open, but a page cannot be read; also for wrong arguments

A process needs `enable_metrics: true` and a listener of the type `metrics`, or one of the type
`http` with the resource `metrics`. To be told at once, alert on the metric itself, and
on processes without it (with the name of your own job):
  min by (instance) (presence_router_sealed) < 1
  up{job="synapse"} == 1 unless on (instance) presence_router_sealed
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
            if _samples_of(page, _REACHABLE)
            else "it has not loaded the module, and shows presence as any Synapse does"
        )
    missing = sorted(part for part, is_in_place in parts.items() if not is_in_place)
    if missing:
        return f"something else replaced {', '.join(missing)}; its log says more"
    return None


def covers_federation(page: str) -> bool:
    """Returns true if the process runs with `federation: exact`."""
    return _PART_OF_FEDERATION in (_parts_of(page) or {})


def reaches_daemon(page: str) -> bool:
    """Returns true if the process has a connection to the daemon."""
    return any(sample.value == 1 for sample in _samples_of(page, _REACHABLE))


def _parts_of(page: str) -> dict[str, bool] | None:
    """Returns for each part of the seal if it is in place; None: there is no seal."""
    parts = {
        sample.labels.get("part", "unknown"): sample.value == 1
        for sample in _samples_of(page, _SEALED)
    }
    return parts or None


def _samples_of(page: str, name: str) -> list[Sample]:
    """Returns the samples of a metric. Raises Unreadable."""
    try:
        families = list(text_string_to_metric_families(page))
    except Exception as why:
        raise Unreadable("this is no metrics page") from why
    if not any(family.samples for family in families):
        raise Unreadable("there are no metrics on this page")
    return [sample for family in families if family.name == name for sample in family.samples]


def _verdict_on(page: str, with_federation: bool) -> tuple[bool, str]:
    """Returns if a process with this page is sealed, and the text for its line. `with_federation`:
    it is not if other servers get presence around the policy. Raises Unreadable."""
    problem = problem_of(page)
    if problem is not None:
        return False, f"NOT SEALED: {problem}"
    is_sealed, text = True, "sealed, also federation"
    if not covers_federation(page):
        is_sealed = not with_federation
        text = "sealed for local users; other servers get presence as with `federation: add`"
        if with_federation:
            text = f"NOT SEALED: {text}"
    if not reaches_daemon(page):
        text += "; the daemon is away: what is shown depends on `when_away`"
    return is_sealed, text


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
    parser.add_argument(
        "--federation",
        action="store_true",
        help="also exit with 1 if other servers get presence around the policy",
    )
    options = parser.parse_args(arguments)
    code = 0
    for url in options.urls:
        try:
            is_sealed, text = _verdict_on(read_page(url), options.federation)
        except Unreadable as why:
            print(f"{url}: cannot be read: {why}")
            code = code or 2
            continue
        print(f"{url}: {text}")
        if not is_sealed:
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())

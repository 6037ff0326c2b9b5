"""The command that tells operators if the seal holds in each process of a Synapse."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from homeserver import free_port
from presence_router.check_seal import main

pytestmark = pytest.mark.smoke

OTHERS = "# TYPE python_info gauge\npython_info 1.0\n"
MODULE = f"{OTHERS}# TYPE presence_router_reachable gauge\npresence_router_reachable 1.0\n"


def page(**parts: int) -> str:
    lines = (f'presence_router_sealed{{part="{part}"}} {value}.0' for part, value in parts.items())
    return "\n".join((f"{MODULE}# TYPE presence_router_sealed gauge", *lines, ""))


LOCAL = "sealed for local users; other servers get presence as with `federation: add`"
AWAY = "; the daemon is away: what is shown depends on `when_away`"

PAGES = {
    "/local": page(get_states=1, callbacks=1),
    "/both": page(get_states=1, excluded_rooms=1),
    "/away": page(excluded_rooms=1).replace("reachable 1.0", "reachable 0.0"),
    "/open": page(get_states=0, callbacks=1, is_visible=0),
    "/unsure": page(get_states=1).replace("1.0\n", "NaN\n"),
    "/add": MODULE,
    "/stock": OTHERS,
    "/html": "<html>It works!</html>",
    "/empty": "",
}


class Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = PAGES.get(self.path)
        self.send_response(404 if body is None else 200)
        self.end_headers()
        self.wfile.write((body or "").encode())

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("paths", "code"),
    [
        (["/local"], 0),
        (["/local", "/both"], 0),
        (["/away"], 0),
        (["/both", "--federation"], 0),
        (["/both", "/local", "--federation"], 1),
        (["/local", "/nowhere", "--federation"], 1),
        (["/local", "/open"], 1),
        (["/unsure"], 1),
        (["/add"], 1),
        (["/stock", "/local"], 1),
        (["/local", "/nowhere"], 2),
        (["/html"], 2),
        (["/empty"], 2),
        # What is known to be open counts more.
        (["/nowhere", "/open"], 1),
        (["/open", "/nowhere"], 1),
    ],
)
def test_the_exit_code_tells_the_worst(address: str, paths: list[str], code: int) -> None:
    arguments = [path if path.startswith("--") else address + path for path in paths]
    assert main(arguments) == code


def test_each_process_has_a_line(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    paths = "/local", "/both", "/away", "/open", "/add", "/stock", "/nowhere"
    main([address + path for path in paths])
    local, both, away, is_open, add, stock, nowhere = capsys.readouterr().out.splitlines()
    assert local == f"{address}/local: {LOCAL}"
    assert away == f"{address}/away: sealed, also federation{AWAY}"
    assert both == f"{address}/both: sealed, also federation"
    assert is_open.startswith(f"{address}/open: NOT SEALED: ")
    assert "replaced get_states, is_visible;" in is_open
    assert add.endswith("NOT SEALED: it runs with `local: add`")
    assert "NOT SEALED: it has not loaded the module" in stock
    assert nowhere.startswith(f"{address}/nowhere: cannot be read: ")
    main([f"{address}/local", "--federation"])
    assert capsys.readouterr().out == f"{address}/local: NOT SEALED: {LOCAL}\n"


def test_what_does_not_answer_cannot_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"http://127.0.0.1:{free_port()}/", "localhost:9101", "http://[", "http://"]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert "Connection refused" in lines[0]
    assert "write http://host:port/_synapse/metrics" in lines[1]
    assert len(lines) == 4


def test_help_says_what_to_name_and_what_it_returns(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for said in ("main process and all workers", "does not load the", "Exit code", "enable_met"):
        assert said in text
    # The query of the page: Prometheus cannot ask for what is absent in each process.
    assert 'up{job="synapse"} == 1 unless on (instance) presence_router_sealed' in text
    assert "absent(" not in text
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 2

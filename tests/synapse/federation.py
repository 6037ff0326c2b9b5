"""A federation on loopback: Synapses with TLS, and a server that only takes note.

Server names are `localhost:PORT`, so that nothing is looked up anywhere; the
certificates come from an authority of the test's own.
"""

import datetime
import json
import re
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from daemon import until
from homeserver import Homeserver, free_port


class Authority:
    """A certificate authority, and the certificate of `localhost` that it gave."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "authority.pem"
        self.certificate = directory / "localhost.pem"
        self.key = directory / "localhost.key"
        name, key = _name("authority of the test"), ec.generate_private_key(ec.SECP256R1())
        basic = x509.BasicConstraints(ca=True, path_length=0)
        root = _certificate(name, name, key.public_key(), basic).sign(key, hashes.SHA256())
        self.file.write_bytes(root.public_bytes(serialization.Encoding.PEM))

        own_key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
        own = _certificate(_name("localhost"), name, own_key.public_key(), names)
        signed = own.sign(key, hashes.SHA256())
        self.certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        self.key.write_bytes(
            own_key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )

    def trusted(self) -> dict[str, Any]:
        """The part of a homeserver.yaml that lets a Synapse call servers of ours."""
        return {
            "federation_custom_ca_list": [str(self.file)],
            # Loopback is in the default of it.
            "ip_range_blacklist": [],
            "federation_domain_whitelist": None,
            # A server that is not there yet is tried again at once.
            "federation": {"destination_min_retry_interval": "1s"},
        }


class Federated(Homeserver):
    """A Synapse that other servers can reach."""

    def __init__(self, directory: Path, authority: Authority, name: str, **config: Any) -> None:
        self.server_name = name
        self._authority = authority
        super().__init__(directory, **config)

    def _config(self, port: int) -> dict[str, Any]:
        return reachable(super()._config(port), self._authority, self.server_name)


def reachable(config: dict[str, Any], authority: Authority, name: str) -> dict[str, Any]:
    """A homeserver.yaml with which other servers can reach the Synapse by its name."""
    listener = {
        "port": int(name.partition(":")[2]),
        "type": "http",
        "tls": True,
        "bind_addresses": ["127.0.0.1"],
        "resources": [{"names": ["federation"]}],
    }
    return (
        config
        | authority.trusted()
        | {
            "listeners": [*config["listeners"], listener],
            "server_name": name,
            "tls_certificate_path": str(authority.certificate),
            "tls_private_key_path": str(authority.key),
        }
    )


class NoteTaker:
    """A server of the federation that routes no presence; it notes which it is sent."""

    def __init__(self, authority: Authority) -> None:
        # Whatever came in `m.presence`, in order: the origin, and the presence.
        self.came: list[tuple[str, dict[str, Any]]] = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.certificate, authority.key)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.server_name = f"localhost:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def statuses(self, user_id: str) -> list[str | None]:
        """The status messages that came of a user."""
        return [push.get("status_msg") for _, push in self.came if push["user_id"] == user_id]

    def wait_for(self, user_id: str, status_msg: str) -> None:
        """Waits until a status message came."""
        what = f"{status_msg!r} of {user_id} reaches {self.server_name}"
        until(lambda: status_msg in self.statuses(user_id), what)

    def stop(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        came = self.came

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if not re.match(r"/_matrix/federation/v1/send/", self.path):
                    self._answer(404, {"errcode": "M_UNRECOGNIZED", "error": self.path})
                    return
                for edu in body.get("edus", []):
                    if edu["edu_type"] == "m.presence":
                        came.extend((body["origin"], push) for push in edu["content"]["push"])
                self._answer(200, {"pdus": {}})

            def do_GET(self) -> None:
                self._answer(404, {"errcode": "M_UNRECOGNIZED", "error": self.path})

            def log_message(self, format: str, *args: object) -> None:
                pass

            def _answer(self, status: int, body: dict[str, Any]) -> None:
                text = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

        return Handler


def free_name() -> str:
    """The name of a server that may be started on loopback."""
    return f"localhost:{free_port()}"


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *extensions: Any
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder

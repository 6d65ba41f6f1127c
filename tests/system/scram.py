"""A SCRAM-SHA-256 client (RFC 5802, 7677) that knows nothing of the server's code, and SMTP over a TLS connection that
can tell its channel bindings (RFC 5929, 9266), which Python's own ssl cannot.
"""
import base64
import hashlib
import hmac
import os
import socket

from cryptography import x509
from OpenSSL import SSL


def b64(data):
    return base64.b64encode(data).decode()


def mac(key, text):
    return hmac.digest(key, text if isinstance(text, bytes) else text.encode(), "sha256")


class Scram:
    """One exchange. `binding` is (name, bytes), or None for no binding; `flag` overrides what the client says of it."""

    def __init__(self, user, password, binding=None, flag=None, authzid="", nonce=None):
        self.password = password
        self.binding = binding
        self.header = f"{flag or ('p=' + binding[0] if binding else 'n')},{authzid},"
        self.nonce = nonce or b64(os.urandom(18))
        self.bare = f"n={user.replace('=', '=3D').replace(',', '=2C')},r={self.nonce}"

    @property
    def first(self):
        return self.header + self.bare

    def final(self, challenge):
        """The last message; `server_proof` is what the server must say then."""
        values = dict(part.split("=", 1) for part in challenge.split(","))
        assert values["r"].startswith(self.nonce) and len(values["r"]) > len(self.nonce) + 10
        self.salt, self.iterations = values["s"], int(values["i"])
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), base64.b64decode(self.salt), self.iterations)
        c = b64(self.header.encode() + (self.binding[1] if self.binding else b""))
        without = f"c={c},r={values['r']}"
        said = f"{self.bare},{challenge},{without}"
        client_key = mac(salted, "Client Key")
        signature = mac(hashlib.sha256(client_key).digest(), said)
        self.server_proof = "v=" + b64(mac(mac(salted, "Server Key"), said))
        return f"{without},p={b64(bytes(a ^ b for a, b in zip(client_key, signature)))}"


class Client:
    """SMTP over implicit TLS of the version asked for ("1.2", "1.3"); `header` goes before it, `session` is one to resume."""

    def __init__(self, server, version="1.3", kind="submissions", source=None, header=b"", session=None):
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        wanted = SSL.TLS1_3_VERSION if version == "1.3" else SSL.TLS1_2_VERSION
        context.set_min_proto_version(wanted)
        context.set_max_proto_version(wanted)
        plain = socket.create_connection(("127.0.0.1", server.ports[kind]), source_address=source and (source, 0))
        plain.sendall(header)
        self.tls = SSL.Connection(context, plain)
        if session is not None:
            self.tls.set_session(session)
        self.tls.set_connect_state()
        self.tls.do_handshake()
        self.buffer = b""
        assert self.reply().startswith("220")
        self.ehlo = self.cmd("EHLO client.test")

    def reply(self):
        """A reply with all its lines."""
        lines = []
        while not lines or lines[-1][3:4] == "-":
            while b"\r\n" not in self.buffer:
                self.buffer += self.tls.recv(4096)
            line, _, self.buffer = self.buffer.partition(b"\r\n")
            lines.append(line.decode())
        return "\n".join(lines)

    def send(self, line):
        self.tls.sendall(line.encode() + b"\r\n")

    def cmd(self, line):
        self.send(line)
        return self.reply()

    def close(self):
        self.tls.sock_shutdown(socket.SHUT_RDWR)
        self.tls.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    # -- channel bindings

    def exporter(self):
        return "tls-exporter", self.tls.export_keying_material(b"EXPORTER-Channel-Binding", 32)

    def end_point(self):
        der = self.tls.get_peer_certificate().to_cryptography()
        from cryptography.hazmat.primitives.serialization import Encoding

        assert isinstance(der, x509.Certificate)
        return "tls-server-end-point", hashlib.sha256(der.public_bytes(Encoding.DER)).digest()

    # -- AUTH

    def scram(self, scram, mechanism=None, initial=True):
        """Plays the exchange; the reply that ends it. Checks the server's own proof."""
        mechanism = mechanism or ("SCRAM-SHA-256-PLUS" if scram.binding else "SCRAM-SHA-256")
        if initial:
            answer = self.cmd(f"AUTH {mechanism} {b64(scram.first.encode())}")
        else:
            assert self.cmd(f"AUTH {mechanism}") == "334 "
            answer = self.cmd(b64(scram.first.encode()))
        if not answer.startswith("334 "):
            return answer
        answer = self.cmd(b64(scram.final(base64.b64decode(answer[4:]).decode()).encode()))
        if not answer.startswith("334 "):
            return answer
        assert base64.b64decode(answer[4:]).decode() == scram.server_proof
        return self.cmd("")

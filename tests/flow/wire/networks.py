"""Stand-ins of the networks: each answers as its network does, and keeps what it was told."""

import functools
import io
import ipaddress
import itertools
import json
import ssl
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from PIL import Image

from crmbridge.testing import ScriptedServer


def slack(*, refuse=None):
    """Slack's Web API and its incoming webhooks, behind one address."""
    numbers = itertools.count(1)

    def answer(exchange):
        if exchange.path.startswith("/services/"):
            return exchange.reply(200, b"ok", {})
        said = (
            {"url": "https://acme.slack.com/"}
            if exchange.path.endswith("auth.test")
            else {"channel": "C1", "ts": f"{next(numbers)}.000100"}
        )
        if refuse and exchange.path.endswith("postMessage"):
            said = {"ok": False, "error": refuse}
        return exchange.reply(200, json.dumps({"ok": True} | said).encode(), {"Content-Type": "application/json"})

    return ScriptedServer(answer)


def x():
    """X's API, which gives everybody a token who asks for one, for two hours."""
    numbers = itertools.count(1)

    def answer(exchange):
        if exchange.path.endswith("/oauth2/token"):
            token = {"access_token": "given", "expires_in": 7200, "refresh_token": "next"}
            return exchange.reply(200, json.dumps(token).encode(), {"Content-Type": "application/json"})
        data = json.dumps({"data": {"id": str(next(numbers)), "text": ""}}).encode()
        return exchange.reply(201 if exchange.command == "POST" else 200, data, {"Content-Type": "application/json"})

    return ScriptedServer(answer)


def pictures():
    """A host that has one picture under every path."""
    out = io.BytesIO()
    Image.new("RGB", (4, 3)).save(out, "PNG")
    return ScriptedServer(lambda exchange: exchange.reply(200, out.getvalue(), {"Content-Type": "image/png"}))


def chirp():
    """A Chirp server's API, which takes every post."""

    def answer(exchange):
        posts = exchange.seen.json().get("posts", []) if exchange.seen.body else []
        results = [{"key": one["key"], "status": "published", "id": f"p{index}"} for index, one in enumerate(posts)]
        exchange.reply(200, json.dumps({"results": results}).encode(), {"Content-Type": "application/json"})

    return ScriptedServer(answer)


def encrypted(certificate):
    """An endpoint that speaks TLS with this certificate and its key, in one PEM file."""
    server = ScriptedServer()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server._server.socket = context.wrap_socket(server._server.socket, server_side=True)
    server.url = server.url.replace("http:", "https:")
    return server


@functools.cache
def certificate(_):
    """A certificate of this machine, signed by itself, and its key, as PEM; made once."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(datetime(2000, 1, 1)).not_valid_after(datetime(2100, 1, 1))
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))]), critical=False)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM) + key.private_bytes(*form)


def teams():
    """A workflow's trigger in Power Automate: it takes what it is sent, and says no more."""
    runs = itertools.count(1)

    def answer(exchange):
        return exchange.reply(202, b"", {"x-ms-workflow-run-id": f"0858430552388{next(runs):04}CU18"})

    return ScriptedServer(answer)

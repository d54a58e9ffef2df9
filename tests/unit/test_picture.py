"""Pictures from the web: from public addresses only, bounded, and made anew from their pixels alone."""

from __future__ import annotations

import io
import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin
from shared import examples

from crmbridge.errors import DeliveryError, Transient
from crmbridge.http import HttpSession, NoPicture, Pictures, made_anew
from crmbridge.http import picture as kit
from crmbridge.http.picture import is_public
from crmbridge.model import Network
from crmbridge.testing import ScriptedServer, answer
from crmbridge.testing.server import cut, dribble, hang


def png(mode: str = "RGB", size: tuple[int, int] = (40, 30), colour: Any = None, **more: Any) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, colour if colour is not None else 0).save(out, "PNG", **more)
    return out.getvalue()


def jpeg(size: tuple[int, int] = (40, 30), mode: str = "RGB", **more: Any) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, 0).save(out, "JPEG", **more)
    return out.getvalue()


def noise(side: int) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((side, side), 100).convert("RGB").save(out, "PNG")
    return out.getvalue()


# --- made anew --------------------------------------------------------------------------------


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize(
    ("data", "kind", "mode"),
    [
        (png(), "image/png", "RGB"),
        (png("L"), "image/png", "RGB"),
        (png("1"), "image/png", "RGB"),
        (png("P"), "image/png", "RGB"),
        (png("I;16"), "image/png", "RGB"),
        (png("RGBA", colour=(1, 2, 3, 4)), "image/png", "RGBA"),
        (png("LA", colour=(1, 2)), "image/png", "RGBA"),
        (png("P", transparency=0), "image/png", "RGBA"),
        (jpeg(), "image/jpeg", "RGB"),
        (jpeg(mode="L"), "image/jpeg", "RGB"),
        (jpeg(mode="CMYK"), "image/jpeg", "RGB"),
        (jpeg(progressive=True), "image/jpeg", "RGB"),
    ],
)
def test_what_networks_take_comes_out(data: bytes, kind: str, mode: str) -> None:
    made = made_anew(data, most=10**6, side=100)
    assert (made.kind, made.width, made.height) == (kind, 40, 30)
    image = opened(made.data)
    assert (f"image/{(image.format or '').lower()}", image.mode, image.size) == (kind, mode, (40, 30))


def with_everything() -> list[bytes]:
    """Files that say more than their pixels: where they were made, by what, and a file behind the file."""
    exif = Image.Exif()
    exif[0x010F] = "canary-maker"
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[29] = "canary-gps"
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "canary-text")
    text.add_itxt("XML:com.adobe.xmp", "<x>canary-xmp</x>")
    profile = b"canary-profile" * 40
    return [
        jpeg(exif=exif.tobytes(), comment=b"canary-comment", icc_profile=profile, dpi=(300, 300)) + b"canary-behind",
        png(exif=exif, pnginfo=text, icc_profile=profile) + b"PK\x03\x04canary-behind",
    ]


@pytest.mark.parametrize("data", with_everything())
def test_only_pixels_go_on(data: bytes) -> None:
    assert data.count(b"canary") >= 3
    made = made_anew(data, most=10**6, side=100)
    assert b"canary" not in made.data
    assert b"Exif" not in made.data
    image = opened(made.data)
    assert not image.getexif()
    assert not image.info.keys() - {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_a_picture_stands_as_it_was_held() -> None:
    """The turn that EXIF asks for is made, for EXIF is gone afterwards."""
    exif = Image.Exif()
    exif[0x0112] = 6
    made = made_anew(jpeg((40, 30), exif=exif.tobytes()), most=10**6, side=100)
    assert (made.width, made.height) == (30, 40)


def test_a_large_picture_becomes_small_enough() -> None:
    made = made_anew(jpeg((3000, 1500)), most=10**6, side=1000)
    assert (made.width, made.height) == (1000, 500)
    loud = noise(600)
    assert len(loud) > 400_000
    made = made_anew(loud, most=60_000, side=1000)
    assert len(made.data) <= 60_000
    assert made.kind == "image/jpeg"
    with pytest.raises(NoPicture, match="smaller than 300 bytes"):
        made_anew(loud, most=300, side=1000)


def bomb(width: int, height: int) -> bytes:
    """A PNG that promises many pixels, and has none."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(6001, 6000), (100_000, 100_000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_does_not_go_off(size: tuple[int, int]) -> None:
    began = time.process_time()
    with pytest.raises(NoPicture):
        made_anew(bomb(*size), most=10**6, side=100)
    assert time.process_time() - began < 1


def test_a_whole_picture_with_too_many_pixels_is_not_read() -> None:
    with pytest.raises(NoPicture, match="it has 6001 x 6000 pixels; 36 million are the most"):
        made_anew(png("1", (6001, 6000)), most=10**6, side=100)


def gif() -> bytes:
    out = io.BytesIO()
    Image.new("P", (4, 3), 0).save(out, "GIF")
    return out.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        gif(),
        b"<html>",
        b"GIF89a" + b"\0" * 50,
        b"\x89PNG\r\n\x1a\n",
        png()[:60],
        jpeg()[:200],
        bomb(50, 50),
        b"RIFF\x24\0\0\0WEBPVP8 ",
        b"%PDF-1.4",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\xff\xd8\xff" + b"\0" * 100,
    ],
    ids=lambda data: ascii(data[:12]),
)
def test_what_is_no_picture_is_none(data: bytes) -> None:
    with pytest.raises(NoPicture) as caught:
        made_anew(data, most=10**6, side=100)
    assert len(str(caught.value)) < 100


SEEDS = [png(), jpeg(), png("RGBA", colour=(1, 2, 3, 4)), jpeg(progressive=True), *with_everything()]


@settings(max_examples=examples(200), deadline=None)
@given(st.sampled_from(SEEDS), st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=8), st.integers(0, 400))
def test_a_damaged_file_is_a_picture_or_none(data: bytes, changes: list[tuple[int, int]], cut_off: int) -> None:
    """Whatever a decoder makes of it, and nothing of the file but its pixels comes out."""
    damaged = bytearray(data)
    for place, value in changes:
        damaged[place % len(damaged)] = value
    try:
        made = made_anew(bytes(damaged[: max(1, len(damaged) - cut_off)]), most=10**6, side=100)
    except NoPicture:
        return
    assert opened(made.data).size == (made.width, made.height)
    assert b"canary" not in made.data


# --- fetched ----------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(answer(200, png(), {"Content-Type": "image/png"})) as made:
        yield made


def fetched(url: str, *own: str, seconds: float = 5.0, network: Network | None = None) -> bytes | DeliveryError:
    pictures = Pictures(network or Network(), own)
    try:
        return pictures.fetch(url, seconds)
    except DeliveryError as error:
        return error
    finally:
        pictures.close()


def test_a_host_of_our_own_is_asked_where_it_is_named(server: ScriptedServer) -> None:
    url = f"{server.url}/a%20b.png?x=1"
    assert fetched(url, "127.0.0.1") == png()
    (seen,) = server.seen
    assert (seen.method, seen.path, seen.headers["accept"]) == ("GET", "/a%20b.png?x=1", "image/png, image/jpeg")
    assert "authorization" not in seen.headers
    assert "cookie" not in seen.headers
    refused = fetched(url)
    assert type(refused) is NoPicture
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/a.png",
        "http://10.0.0.1/a.png",
        "ftp://example.com/a.png",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "javascript:1",
        "gopher://127.0.0.1/",
        "//example.com/a.png",
        "https:///a.png",
        "https://user:secret@example.com/a.png",
        "https://[::1",
        "https://example.com:x/",
        "",
    ],
)
def test_only_https_is_asked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("something was looked up"))
    refused = fetched(url, "10.0.0.1")
    assert type(refused) is NoPicture
    assert "secret" not in str(refused)


INNER = [
    *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1"),
    *("::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"),
    *("ff02::1", "198.18.0.1", "192.0.2.1", "240.0.0.1", "nothing"),
]


@pytest.mark.parametrize("address", INNER)
def test_no_inner_address_is_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "64:ff9b::101:101", "2002:101:101::1"])
def test_the_internet_is(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", [one for one in INNER if one != "nothing"])
def test_a_name_that_leads_inside_is_not_connected_to(address: str, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is judged is the very address that would be connected to, so a name that changes its mind gains nothing."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    looked_up: list[str] = []

    def resolve(host: str, *_: Any, **__: Any) -> list[Any]:
        looked_up.append(host)
        return [(family, socket.SOCK_STREAM, 6, "", (address, server.port))]

    def connect(self: socket.socket, where: Any) -> None:
        pytest.fail(f"connected to {where}")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket.socket, "connect", connect)
    refused = fetched("https://pictures.example/a.png")
    assert type(refused) is NoPicture
    assert "private network" in str(refused)
    assert looked_up == ["pictures.example"]


@pytest.mark.parametrize("host", ["[::1]", "2130706433", "0x7f.1", "127.1", "localhost", "localhost.", "[::ffff:127.0.0.1]"])
def test_every_way_to_write_this_machine_is_refused(host: str, server: ScriptedServer) -> None:
    assert isinstance(fetched(f"https://{host}:{server.port}/a.png"), NoPicture | Transient)  # Transient: it is no name here
    assert server.seen == []


def test_behind_a_proxy_names_are_judged_as_far_as_they_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    look_up = socket.getaddrinfo

    def resolve(host: str, *more: Any, **named: Any) -> list[Any]:
        if host in ("inner.example", "outer.example"):
            address = "10.0.0.1" if host == "inner.example" else "93.184.216.34"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443))]
        return list(look_up(host, *more, **named))

    asked: list[str] = []
    with ScriptedServer() as proxy:
        network = Network(proxy=proxy.url)
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        monkeypatch.setattr(HttpSession, "get", lambda self, url, **_: asked.append(url) or pytest.skip("asked"))
        for host in ("inner.example", "169.254.169.254", "[fd00::1]"):
            assert isinstance(fetched(f"https://{host}/a.png", network=network), NoPicture)
        assert asked == []
        with pytest.raises(pytest.skip.Exception):  # only the proxy knows it, or it is public: the proxy is asked
            fetched("https://outer.example/a.png", network=network)
    assert asked == ["https://outer.example/a.png"]


def redirect(to: str) -> Any:
    return answer(302, b"", {"Location": to})


def test_redirects_are_judged_like_the_address(server: ScriptedServer) -> None:
    server.then(redirect("/b.png"))
    assert fetched(f"{server.url}/a.png", "127.0.0.1") == png()
    assert [seen.path for seen in server.seen] == ["/a.png", "/b.png"]
    for elsewhere in (
        f"http://localhost:{server.port}/",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "https://[",
        "http://example.com/a.png",
    ):
        before = len(server.seen)
        server.then(redirect(elsewhere))
        assert isinstance(fetched(f"{server.url}/a.png", "127.0.0.1"), NoPicture), elsewhere
        assert len(server.seen) == before + 1
    server.then(*[redirect("/again")] * 5)
    assert "leads on" in str(fetched(f"{server.url}/a.png", "127.0.0.1"))
    server.clear()


@pytest.mark.parametrize("status", [204, 301, 304, 400, 401, 403, 404, 410, 451])
def test_what_will_not_change_costs_the_picture(server: ScriptedServer, status: int) -> None:
    server.then(answer(status, b"x" if status not in (204, 304) else b""))
    assert type(fetched(f"{server.url}/a.png", "127.0.0.1")) is NoPicture


@pytest.mark.parametrize("behaviour", [answer(408), answer(429), answer(500), answer(503), cut, hang, dribble])
def test_what_may_change_is_tried_again(server: ScriptedServer, behaviour: Callable[..., None]) -> None:
    server.then(behaviour)
    began = time.monotonic()
    failed = fetched(f"{server.url}/a.png", "127.0.0.1", seconds=0.5)
    assert type(failed) is Transient
    assert time.monotonic() - began < 5
    assert "127.0.0.1:" not in str(failed) or "a.png" not in str(failed)


def test_a_file_without_end_is_left(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kit, "MAX_BYTES", 1000)
    server.then(answer(200, b"x" * 1001))
    assert "over 1000 bytes" in str(fetched(f"{server.url}/a.png", "127.0.0.1"))


def test_one_deadline_for_all_of_it(server: ScriptedServer) -> None:
    """Redirects do not begin it anew."""

    def slowly(exchange: Any) -> None:
        time.sleep(0.4)
        redirect("/next")(exchange)

    server.then(slowly, slowly, slowly)
    began = time.monotonic()
    assert type(fetched(f"{server.url}/a.png", "127.0.0.1", seconds=0.6)) is Transient
    assert time.monotonic() - began < 3

"""A picture from the web, fetched without access to one's own network, and made anew so that only its pixels are passed on.

The address comes in part from a record, and the bytes come from a stranger. So an address is judged at the moment it is connected to:
a name may resolve to something else a moment later. And of a file, only what it shows is passed on: no position, no camera, no
second file behind the first.
"""

from __future__ import annotations

import importlib.util
import io
import ipaddress
import socket
import time
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import requests

from crmbridge.errors import Rejected, Transient
from crmbridge.http.mark import describe, looking
from crmbridge.http.session import Forbidden, HttpSession
from crmbridge.model import Network
from crmbridge.peers import is_this_machine

if TYPE_CHECKING:
    from PIL import Image

INSTALL: Final = "pip install 'crmbridge[media]'"
FORMATS: Final = ("PNG", "JPEG")
MAX_BYTES: Final = 16 * 1024 * 1024
"""The most bytes that are fetched of a file."""
MAX_PIXELS: Final = 36_000_000
"""The most pixels of a picture that is read. Making such a picture anew takes about 140 MB of memory."""
_REDIRECTS: Final = 3
_NO_ADDRESS: Final = "its address is no web address"
_PRIVATE: Final = "its host lies in a private network (see `media_from`)"
_SCALES: Final = (1.0, 0.75, 0.5, 0.35, 0.2)
_QUALITY: Final = 88


class NoPicture(Rejected):
    """No picture can be had at this address, now or later. The words say why, and name no address."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="picture")


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture file that was made here."""

    data: bytes
    kind: str
    """Its media type: `image/png` or `image/jpeg`."""
    width: int
    height: int


def can_make() -> bool:
    """Say whether the library that makes pictures anew is installed."""
    return importlib.util.find_spec("PIL") is not None


class Pictures:
    """Fetches pictures from public addresses, and from those hosts of one's own network that the configuration names."""

    def __init__(self, network: Network, own: Sequence[str] = ()) -> None:
        """Allow the hosts in `own`, by name or address, to lie in one's own network. Only this machine itself may be asked over http."""
        self._own = frozenset(host.lower() for host in own)
        self._proxied = network.proxy is not None
        self._public = HttpSession(network, most=MAX_BYTES, reachable=is_public)
        self._inner = HttpSession(network, most=MAX_BYTES)

    def fetch(self, url: str, seconds: float) -> bytes:
        """Fetch the bytes at `url`, within `seconds`. Raises NoPicture, or Transient where another try may bring them."""
        ends = time.monotonic() + seconds
        with looking():
            for _ in range(_REDIRECTS + 1):
                session = self._session(url)
                headers = {"Accept": "image/png, image/jpeg", "Accept-Encoding": "identity"}
                try:
                    answer = session.get(url, headers=headers, timeout=max(ends - time.monotonic(), 0.001))
                except requests.exceptions.ContentDecodingError as error:
                    raise NoPicture(str(error)) from None
                except Forbidden:
                    raise NoPicture(_PRIVATE) from None
                except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema):
                    raise NoPicture(_NO_ADDRESS) from None
                except (requests.RequestException, OSError) as error:
                    raise Transient(f"the picture cannot be fetched: {describe(error)}", code="picture") from None
                if not answer.is_redirect:
                    return _file(answer)
                url = _further(url, answer.headers.get("Location", ""))
        raise NoPicture(f"it leads on more than {_REDIRECTS} times")

    def _session(self, url: str) -> HttpSession:
        """Return the session that may fetch `url`. Raises NoPicture."""
        try:
            parts = urllib.parse.urlsplit(url)
            host, _ = (parts.hostname or "").lower(), parts.port
        except ValueError:
            raise NoPicture(_NO_ADDRESS) from None
        if not host or parts.username is not None or parts.password is not None:
            raise NoPicture(_NO_ADDRESS)
        own = host in self._own
        if parts.scheme != "https" and not (parts.scheme == "http" and own and is_this_machine(host)):
            raise NoPicture("its address is not https")
        if own:
            return self._inner
        if self._proxied and not all(map(is_public, _addresses(host))):
            raise NoPicture(_PRIVATE)
        return self._public

    def close(self) -> None:
        """Close the connections; safe to call twice."""
        self._public.close()
        self._inner.close()


def _further(url: str, location: str) -> str:
    try:
        return urllib.parse.urljoin(url, location)
    except ValueError:
        raise NoPicture(_NO_ADDRESS) from None


def is_public(address: str) -> bool:
    """Say whether an IP address belongs to the public Internet. This covers IPv4 addresses that are embedded in IPv6 ones."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


def _addresses(host: str) -> list[str]:
    """Return the addresses that this machine knows of a host. Return none where only a proxy knows them."""
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        return []


def _file(answer: requests.Response) -> bytes:
    status = answer.status_code
    if status == 200:
        return answer.content
    if status in (408, 425, 429) or status >= 500:
        raise Transient(f"the picture cannot be fetched: HTTP {status}", code="picture")
    raise NoPicture(f"HTTP {status}")


# --- made anew --------------------------------------------------------------------------------


def made_anew(data: bytes, *, most: int, side: int) -> Picture:
    """Make the picture in `data` anew: a file of at most `most` bytes, neither side longer than `side`. Raises NoPicture.

    A picture with transparent parts stays a PNG. A JPEG stays a JPEG. Any other picture becomes a JPEG if its PNG would be too large.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise NoPicture(f"it has {image.width} x {image.height} pixels; {MAX_PIXELS // 10**6} million are the most")
        jpeg = image.format == "JPEG"
        image.draft(None, (side, side))  # decodes a JPEG at a smaller size where that is enough, to save memory
        image.load()
        image = ImageOps.exif_transpose(image)
        image.thumbnail((side, side))
        pixels = _only_pixels(image)
    except NoPicture:
        raise
    except UnidentifiedImageError:
        raise NoPicture("it is neither a PNG nor a JPEG") from None
    except Exception as error:  # decoders raise errors of any kind on a stranger's bytes
        raise NoPicture(f"it cannot be read: {type(error).__name__}") from None
    for scale in _SCALES:
        smaller = pixels if scale == 1 else pixels.resize((max(1, int(pixels.width * scale)), max(1, int(pixels.height * scale))))
        for kind in ("JPEG",) if jpeg else ("PNG", "JPEG"):
            if kind == "JPEG" and smaller.mode == "RGBA":
                continue
            made = _written(smaller, kind)
            if len(made) <= most:
                return Picture(made, f"image/{kind.lower()}", smaller.width, smaller.height)
    raise NoPicture(f"it cannot be made smaller than {most} bytes")


def _only_pixels(image: Any) -> Image.Image:
    """Copy only the pixels into a new picture, in a colour mode that every network takes."""
    from PIL import Image

    clear = "A" in image.getbands() or "transparency" in image.info
    mode = "RGBA" if clear else "RGB"
    pixels = Image.new(mode, image.size)
    pixels.paste(image.convert(mode))
    return pixels


def _written(image: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    if kind == "JPEG":
        image.save(out, kind, quality=_QUALITY, optimize=True)
    else:
        image.save(out, kind)
    return out.getvalue()

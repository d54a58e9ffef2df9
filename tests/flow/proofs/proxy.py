"""A TCP proxy that loses answers: the far side has acted, and the near side is reset before it hears of it.

`proxy.py PORT CHANCE SEED` stands before a sink on PORT; it prints its own port. GET /cuts gives how many answers it lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import sys


class Proxy:
    """One far side, and the answers that were lost on the way."""

    def __init__(self, port: int, chance: float, seed: int) -> None:
        self.port, self.chance = port, chance
        self.random = random.Random(seed)
        self.cuts = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection; the near side has one request under way on it at most."""
        far_reader = far_writer = None
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                request = await message(reader)
                if request.startswith(b"GET /cuts"):
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%d" % (len(str(self.cuts)), self.cuts))
                    continue
                if far_writer is None:
                    far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.port)
                far_writer.write(request)
                answer = await message(far_reader)
                question = request.startswith((b"GET ", b"POST /auth.test "))
                if not question and self.random.random() < self.chance:  # a question that is not answered tells nothing
                    self.cuts += 1
                    near = writer.get_extra_info("socket")
                    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    writer.transport.abort()
                    break
                writer.write(answer)
        for one in (writer, far_writer):
            if one is not None:
                one.close()


async def message(reader: asyncio.StreamReader) -> bytes:
    """A whole request or answer: its head and as much body as that says."""
    head = await reader.readuntil(b"\r\n\r\n")
    size = head.lower().partition(b"content-length:")[2].partition(b"\r")[0].strip()
    return head + await reader.readexactly(int(size or b"0"))


async def main() -> None:
    proxy = Proxy(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())

"""A wire that takes its time: whatever is sent through it arrives later, in order and complete.

    python tests/studies/slow_wire.py HOST PORT SECONDS

Listens on a port of HOST, which it prints, and hands on to PORT of HOST, each way SECONDS later. It
stands in for a network with delay where the kernel has none to offer. It loses nothing: what TCP
makes of a lost packet cannot be seen from within a program.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter, seconds: float) -> None:
    """Hand on what comes, later."""
    clock = asyncio.get_running_loop().time
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def take() -> None:
        data = b"."
        while data:
            data = await source.read(2**16)
            under_way.put_nowait((clock() + seconds, data))

    async def give() -> None:
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(due - clock())
            if not data:
                sink.close()
                return
            sink.write(data)

    with suppress(OSError):
        await asyncio.gather(take(), give())


async def _serve(host: str, port: int, seconds: float) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(2 * seconds)  # TCP's handshake
        there, back = await asyncio.open_connection(host, port)
        await asyncio.gather(_carry(reader, back, seconds), _carry(there, writer, seconds))

    server = await asyncio.start_server(connected, host, 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))

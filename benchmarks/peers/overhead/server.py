"""The same model behind HTTP, for a peer that takes nothing else: an OpenAI-compatible server, one process.

    python server.py DELAY_S

It prints its address, and lives until it is killed.
"""

from __future__ import annotations

import asyncio
import json
import sys

from task import late, reply


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, kept open for as many requests as come."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            size = next(
                (
                    int(line[15:])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length:")
                ),
                0,
            )
            asked = json.loads(await reader.readexactly(size)) if size else {}
            await late(float(sys.argv[1]))
            [*_, last] = asked.get("messages") or [{"content": ""}]  # the first request only asks for limits
            writer.write(_answer(reply(last["content"])))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def _answer(text: str) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 20, "completion_tokens": 50, "total_tokens": 70}
    said = {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "null",
        "choices": [choice],
        "usage": usage,
    }
    body = json.dumps({**said, "data": [{"id": "null"}]}).encode()
    limits = "x-ratelimit-limit-requests: 100000000\r\nx-ratelimit-limit-tokens: 100000000000\r\n"
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{limits}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())

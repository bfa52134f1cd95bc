"""Guesses at what others hold: handles of arrays, sessions, tokens. For a seeded sample in the tests, and for the campaign of a million.

A server with one session of its own array; whoever guesses is attached to another server, or has no token. Nothing may ever be hit.
"""

from __future__ import annotations

import random
from typing import Any

import grpc
from wire import REPLY, H, Server, V, Writer, form, hello, spec, value

CHUNK = 200
_CREATE, _FETCH = 1, 2


def guess_handles(server: Server, count: int, seed: int) -> dict[str, int]:
    """`count` handles, random and near the one that exists, used by the server's own session: every one is unknown but its own.

    Raises:
        AssertionError: one was found that the session never made.
    """
    chosen = random.Random(seed)
    writer, nonce = Writer(), chosen.randbytes(16)
    mine = chosen.randrange(1, 1 << 60)
    refused = found = 0
    with server.attach(first=hello(nonce)) as stream:
        stream.next()
        forms = (form(_CREATE, "@array", [V], [spec((2,))]), form(_FETCH, "@fetch", [H], [REPLY]))
        stream.send(writer.batch([_CREATE, mine, value(b"\0" * 16)], 1, *forms))
        stream.until(1)
        reply = mine + 1
        while refused < count:
            asked: dict[int, int] = {}
            items: list[Any] = []
            for _ in range(min(CHUNK, count - refused)):
                handle = _guess(chosen, mine)
                reply += 1
                while reply == handle:
                    reply += 1
                asked[reply] = handle
                items += [_FETCH, reply, handle]
            stream.send(writer.batch(items, len(asked)))
            for frame in stream.until(writer.seq):
                for result in frame.results:
                    assert result.WhichOneof("kind") == "error", f"the guess {asked[result.id]} hit something"
                    refused += 1
                    del asked[result.id]
            assert not asked, f"no answer to {len(asked)} guesses"
        stream.send(writer.batch([_FETCH, reply + 1, mine], 1))
        found = sum(1 for frame in stream.until(writer.seq) for r in frame.results if r.WhichOneof("kind") == "value")
    assert found == 1, "its own array is there"
    return {"guesses": refused, "hits": 0}


def _guess(chosen: random.Random, mine: int) -> int:
    """Anywhere, near what exists, or a likely small number; never what exists."""
    while True:
        where = chosen.randrange(3)
        guess = (
            chosen.randrange(1, (1 << 63) - 1) if where == 0
            else chosen.randrange(1, 1 << 20) if where == 1
            else max(1, mine - chosen.randrange(1, 1000))
        )  # fmt: skip
        if guess != mine:
            return guess


def guess_sessions(endpoint: str, count: int, seed: int, session: str = "session") -> dict[str, int]:
    """`count` calls with guessed names and tokens of sessions, some with the right name: every one is refused.

    Raises:
        AssertionError: one got in.
    """
    chosen = random.Random(seed)
    refused: dict[str, int] = {}
    with grpc.insecure_channel(endpoint, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        get = channel.unary_stream("/cupool.v1.SessionService/Get")
        for _ in range(count):
            name = session if chosen.random() < 0.5 else f"session-{chosen.randbytes(8).hex()}"
            token = chosen.choice(
                (
                    lambda: f"cupool_session_{chosen.randbytes(32).hex()}",
                    lambda: chosen.randbytes(4).hex(),
                    lambda: "",
                    lambda: "toke",
                )
            )()
            call = get(b"", timeout=20, metadata=(("authorization", f"Bearer {token}"), ("cupool-session", name)))
            try:
                next(call)
            except grpc.RpcError as error:
                code = error.code().name
                refused[code] = refused.get(code, 0) + 1
                continue
            raise AssertionError(f"the session {name!r} was opened with the token {token!r}")
    assert set(refused) <= {"NOT_FOUND", "UNAUTHENTICATED"}, refused
    return {"guesses": count, "hits": 0, **refused}

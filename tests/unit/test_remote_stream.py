"""What an agent is told to forget: never more than the directory has, in whatever order ends are written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from cupool.pool.engines.remote import AgentServicer, _Stream

from cupool.v1 import agent_pb2


class Listener:
    """Holds what is to be called when an end is kept."""

    def __init__(self) -> None:
        self.kept: dict[str, Callable[[], None]] = {}

    def session_ended(self, node: str, end: agent_pb2.SessionEnd, kept: Callable[[], None]) -> None:
        self.kept[end.session] = kept

    def move_news(self, node: str, news: agent_pb2.MoveNews, kept: Callable[[], None]) -> None:
        self.kept[news.server] = kept


async def _received(frames: Any) -> int:
    """What the agent is told next; 0: nothing is to be told."""
    try:
        return int((await asyncio.wait_for(anext(frames), 0.05)).received)
    except TimeoutError:
        return 0


def test_an_end_that_waits_for_a_move_is_not_forgotten_because_a_later_one_is_kept() -> None:
    async def run() -> None:
        stream, listener = _Stream(asyncio.get_running_loop()), Listener()
        servicer = AgentServicer(None, None)  # type: ignore[arg-type]

        def tell(ordinal: int, *sessions: str, server: str = "") -> None:
            frame = agent_pb2.AgentFrame(ordinal=ordinal, ended=[agent_pb2.SessionEnd(session=s) for s in sessions])
            frame.moves.extend([agent_pb2.MoveNews(server=server)] if server else [])
            servicer._tell(frame, "node", stream, listener)  # type: ignore[arg-type]

        tell(5, "a")
        tell(7, "b", server="mover")
        tell(9, "c")
        listener.kept["c"]()
        listener.kept["b"]()
        assert await _received(stream.frames()) == 0
        listener.kept["a"]()
        assert await _received(stream.frames()) == 5
        listener.kept["mover"]()
        assert await _received(stream.frames()) == 9
        tell(11, "d")
        listener.kept["d"]()
        assert await _received(stream.frames()) == 11

    asyncio.run(run())

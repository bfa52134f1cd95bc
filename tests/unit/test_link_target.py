"""Where bulk transfers go: to the lane of the server that has the session, and of no other."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from cupool.shim.lease import Lease
from cupool.shim.open_session import OpenSession


def target_of(leased: tuple[str, int], greeted: tuple[str, int]) -> Any:
    """Of a session with a lease of this id and epoch, whose last hello was said to that one."""
    hello = SimpleNamespace(lane="the lane", epoch=greeted[1], features=[])
    lease = Lease(leased[0], "t", "127.0.0.1:1", leased[1], "", "")
    link = SimpleNamespace(lease=lease, server_hello=hello, greeting=(greeted[0], hello))
    return OpenSession.target(
        SimpleNamespace(link=link, hello=lambda: hello, outbox=SimpleNamespace(limits=None))  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("leased", "greeted", "lane"),
    [
        (("s", 1), ("s", 1), "the lane"),
        (("s", 2), ("s", 1), ""),  # it has moved
        (("another", 1), ("s", 1), ""),  # its server was lost, and the next has not said hello yet
    ],
)
def test_the_lane_is_that_of_the_server_which_has_the_session(
    leased: tuple[str, int], greeted: tuple[str, int], lane: str
) -> None:
    assert target_of(leased, greeted).lane == lane

"""What kernels print: asked for right behind the launch, shown on standard output at the program's next wait, as CUDA does at a
synchronisation."""

from __future__ import annotations

from .. import captures, dispatch, session


def may_print(*sources: str | None) -> bool:
    """Whether a kernel of this source can print."""
    return any(source is not None and "printf" in source for source in sources)


def expect() -> None:
    """The kernel just launched may print. One that is only recorded prints when its graph is launched, and is shown later."""
    if captures.CAPTURING:
        return
    (reply,) = dispatch.send("@kernel_output", (), (), ("reply",))
    session.current().printing.append(reply)

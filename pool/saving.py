"""Sessions that are saved to a file, and brought back: the operator's side. Takes the controller's lock; nothing waits.

A saved session lies in `checkpoints.folder` as `saved/<name>.session`, with `<name>.json` beside it: whose it is. It comes back as the same
session at the next epoch, so a program that was away meanwhile goes on with it.
"""

from __future__ import annotations

import json
import re
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cupool.v1 import admin_pb2, server_pb2

from . import placement, states, tenants
from .controller import Controller
from .core import lease_record
from .leases import Device, Server, Session
from .operations import Audit, Operations, by_prefix
from .placement import Wish
from .refusals import Code, Refused

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(slots=True)
class Save:
    """One that is under way. `future` gets the SaveSessionReply, or Refused."""

    session: Session
    name: str
    path: Path
    future: Future[admin_pb2.SaveSessionReply] = field(default_factory=Future)


class Saving:
    """Saving and restoring."""

    def __init__(self, controller: Controller, operations: Operations, audit: Audit) -> None:
        self._controller = controller
        self._operations = operations
        self._audit = audit
        self._saves: dict[str, Save] = {}
        controller.on_checkpoint = self.reported

    def _folder(self) -> Path:
        folder = self._controller.config.checkpoint_folder
        if not folder:
            raise Refused(
                Code.FAILED_PRECONDITION,
                "This pool has no folder for saved sessions.",
                "Set checkpoints.folder in cupool.toml, or CUPOOL_CHECKPOINTS_FOLDER for `cupool up`, to a folder that every host of the "
                "pool sees, and start the pool again.",
            )
        return Path(folder) / "saved"

    def save(self, who: str, request: admin_pb2.SaveSessionRequest) -> Save:
        """Begin. Raises Refused: no such session, a name that is taken or none."""
        folder, c = self._folder(), self._controller
        with c.lock:
            session = c.books.sessions[by_prefix(request.session, c.books.sessions, "session")]
            name = request.name or f"{session.id}-{c.ids(3)}"
            if not _NAME.fullmatch(name):
                raise Refused(
                    Code.INVALID_ARGUMENT,
                    f"{name[:80]!r} is no name of a checkpoint.",
                    "Up to 64 letters, digits, '.', '_' and '-', the first a letter or digit.",
                )
            path = folder / f"{name}.session"
            if name in self._saves or path.exists():
                raise Refused(Code.ALREADY_EXISTS, f"There is a checkpoint {name!r} already.", "Choose another name.")
            if session.state not in (states.SESSION_ATTACHED, states.SESSION_PARKED):
                raise Refused(Code.FAILED_PRECONDITION, f"The session {session.id} has not begun, or is ending.")
            one = self._saves[name] = Save(session, name, path)
            order = server_pb2.Checkpoint(session=session.id, checkpoint=name, end=request.end)
            c._order(session.server, server_pb2.ServerCommand(checkpoint=order))
        self._audit(who, "session-saved", session.id, f"as {name}{', and ended' if request.end else ''}")
        return one

    def look(self, one: Save) -> None:
        """Give a save up whose server is gone."""
        with self._controller.lock:
            if one.session.is_over and not one.future.done():
                self._saves.pop(one.name, None)
                one.future.set_exception(
                    Refused(Code.ABORTED, f"The session ended before it was saved: {one.session.reason}")
                )

    def reported(self, report: server_pb2.CheckpointReport) -> None:
        """A server's word, by its agent. With the lock held."""
        one = self._saves.pop(report.checkpoint, None)
        if one is None or one.future.done():
            return
        if report.error:
            one.future.set_exception(Refused(Code.FAILED_PRECONDITION, f"The session was not saved: {report.error}"))
            return
        one.future.set_result(
            admin_pb2.SaveSessionReply(
                checkpoint=one.name, path=report.path, nbytes=report.nbytes, node=one.session.device.node.id
            )
        )

    def restore(self, who: str, request: admin_pb2.RestoreSessionRequest) -> admin_pb2.RestoreSessionReply:
        """Raises Refused: there is none, its session lives, or no device can take it now."""
        saved = self._read(request.checkpoint)
        c = self._controller
        with c.lock:
            if saved["session"] in c.books.sessions:
                raise Refused(
                    Code.FAILED_PRECONDITION,
                    f"The session {saved['session']} is running; two of it would be one too many.",
                    f"End it first: cupool kill {saved['session']}.",
                )
            mine = c.tenant(saved["tenant"])
            over = tenants.over_quota(mine, saved["memory_bytes"])
            if over is not None:
                raise over
            device, server = self._place(request.device, saved)
            now = c.clock()
            session = Session(
                id=saved["session"], tenant=mine, token_sha256=bytes.fromhex(saved["token_sha256"]), server=server,
                function=saved["function"], memory_bytes=saved["memory_bytes"], given_at=now,
                expires_at=now + c.config.lease_s, priority=saved["priority"], epoch=saved["epoch"] + 1,
                lifetime_s=mine.quota.lifetime_s,
                incoming=server_pb2.Incoming(checkpoint=f"saved/{request.checkpoint}", session=saved["session"]),
            )  # fmt: skip
            c.books.ended.pop(session.id, None)
            c._assign(session, server)
            c.books.set_server(server, states.LEASED)
            c.books.add_session(session)
            c.directory.add_lease(lease_record(session, c.wall()))
            mine.leases_given += 1
        self._audit(who, "session-restored", session.id, f"from {request.checkpoint} on {device.key}")
        return admin_pb2.RestoreSessionReply(
            session=session.id,
            endpoint=server.endpoint,
            epoch=session.epoch,
            tls=server.speaks_tls,
            node=device.node.id,
        )

    def saved(self) -> list[admin_pb2.SavedSession]:
        """What there is to restore, by name. Takes no lock; reads files. Raises Refused: there is no folder, or it cannot be read."""
        folder, now = self._folder(), self._controller.wall()
        try:
            files = sorted(folder.glob("*.session"))
        except OSError as error:
            raise Refused(Code.UNAVAILABLE, f"{folder} cannot be read: {error.strerror}.") from error
        found = []
        for path in files:
            one = admin_pb2.SavedSession(checkpoint=path.stem)
            try:
                about = path.stat()
                one.nbytes, one.age_s = about.st_size, max(now - about.st_mtime, 0.0)
                if not path.with_suffix(".json").exists():
                    raise OSError(f"{path.stem}.json, which says whose it is, is not there.")
                saved = self._read(path.stem)
                one.session, one.tenant, one.function = saved["session"], saved["tenant"], saved["function"]
                one.kind, one.memory_bytes = saved["kind"], saved["memory_bytes"]
            except FileNotFoundError:
                continue  # it was taken away meanwhile
            except (OSError, Refused) as error:
                one.reason = str(error)
            found.append(one)
        return found

    def _read(self, name: str) -> dict[str, Any]:
        missing = Refused(
            Code.NOT_FOUND,
            f"There is no checkpoint {name[:80]!r}.",
            "`cupool session list` shows those that there are.",
        )
        if not _NAME.fullmatch(name):
            raise missing
        path = self._folder() / f"{name}.json"
        try:
            saved: dict[str, Any] = json.loads(path.read_text())
            kinds = {"session": str, "tenant": str, "token_sha256": str, "function": str, "kind": str, "fingerprint": str,
                     "memory_bytes": int, "epoch": int, "priority": int}  # fmt: skip
            if not all(isinstance(saved[key], kind) for key, kind in kinds.items()):
                raise ValueError("a field is of another kind")
        except FileNotFoundError:
            raise missing from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Refused(
                Code.DATA_LOSS, f"What is known of the checkpoint {name!r} cannot be read: {error}."
            ) from None
        return saved

    def _place(self, wanted: str, saved: dict[str, Any]) -> tuple[Device, Server]:
        """A device with a warm server that can go on with it. With the lock held."""
        c = self._controller
        wish = Wish(saved["kind"], saved["memory_bytes"])
        devices = [self._operations.find_device(wanted)] if wanted else list(c.books.devices.values())
        if wanted and devices[0].kind != saved["kind"]:
            raise Refused(
                Code.FAILED_PRECONDITION,
                f"The checkpoint is of a {saved['kind']} device, and {devices[0].key} is a {devices[0].kind} one.",
                "Restore it on a device of the same kind.",
            )
        for device in devices:
            if not placement.has_room(device.view(), wish):
                continue
            for server in device.warm.values():
                if server.fingerprint == saved["fingerprint"]:
                    return device, server
        raise Refused(
            Code.RESOURCE_EXHAUSTED,
            f"No {saved['kind']} device{' ' + repr(wanted) if wanted else ''} with the same libraries has room and a warm server now.",
            "Try again in a moment; `cupool gpus` shows the devices.",
        )

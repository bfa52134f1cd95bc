from cupool.v1 import pool_pb2 as _pool_pb2
from cupool.v1 import server_pb2 as _server_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListServersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListServersReply(_message.Message):
    __slots__ = ("servers",)
    SERVERS_FIELD_NUMBER: _ClassVar[int]
    servers: _containers.RepeatedCompositeFieldContainer[_server_pb2.ServerStatus]
    def __init__(self, servers: _Optional[_Iterable[_Union[_server_pb2.ServerStatus, _Mapping]]] = ...) -> None: ...

class ListAllSessionsRequest(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    def __init__(self, tenant: _Optional[str] = ...) -> None: ...

class KillSessionRequest(_message.Message):
    __slots__ = ("session", "reason")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    session: str
    reason: str
    def __init__(self, session: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class KillSessionReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CordonRequest(_message.Message):
    __slots__ = ("device", "reason")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    device: str
    reason: str
    def __init__(self, device: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class CordonReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class UncordonRequest(_message.Message):
    __slots__ = ("device",)
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    device: str
    def __init__(self, device: _Optional[str] = ...) -> None: ...

class UncordonReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DrainRequest(_message.Message):
    __slots__ = ("device", "reason", "deadline_ms")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    device: str
    reason: str
    deadline_ms: int
    def __init__(self, device: _Optional[str] = ..., reason: _Optional[str] = ..., deadline_ms: _Optional[int] = ...) -> None: ...

class DrainProgress(_message.Message):
    __slots__ = ("remaining_sessions", "moved", "done")
    REMAINING_SESSIONS_FIELD_NUMBER: _ClassVar[int]
    MOVED_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    remaining_sessions: int
    moved: _containers.RepeatedScalarFieldContainer[str]
    done: bool
    def __init__(self, remaining_sessions: _Optional[int] = ..., moved: _Optional[_Iterable[str]] = ..., done: bool = ...) -> None: ...

class MoveSessionRequest(_message.Message):
    __slots__ = ("session", "device", "engine")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    session: str
    device: str
    engine: str
    def __init__(self, session: _Optional[str] = ..., device: _Optional[str] = ..., engine: _Optional[str] = ...) -> None: ...

class MoveProgress(_message.Message):
    __slots__ = ("phase", "copied_bytes", "total_bytes", "done", "error")
    PHASE_FIELD_NUMBER: _ClassVar[int]
    COPIED_BYTES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    phase: str
    copied_bytes: int
    total_bytes: int
    done: bool
    error: str
    def __init__(self, phase: _Optional[str] = ..., copied_bytes: _Optional[int] = ..., total_bytes: _Optional[int] = ..., done: bool = ..., error: _Optional[str] = ...) -> None: ...

class SetQuotaRequest(_message.Message):
    __slots__ = ("tenant", "sessions", "memory_bytes", "kernel_s", "opens_per_s", "queue_places")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    KERNEL_S_FIELD_NUMBER: _ClassVar[int]
    OPENS_PER_S_FIELD_NUMBER: _ClassVar[int]
    QUEUE_PLACES_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    sessions: int
    memory_bytes: int
    kernel_s: float
    opens_per_s: float
    queue_places: int
    def __init__(self, tenant: _Optional[str] = ..., sessions: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., kernel_s: _Optional[float] = ..., opens_per_s: _Optional[float] = ..., queue_places: _Optional[int] = ...) -> None: ...

class SetQuotaReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

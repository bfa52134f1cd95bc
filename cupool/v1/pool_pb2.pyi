from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SessionState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SESSION_STATE_UNSPECIFIED: _ClassVar[SessionState]
    SESSION_STATE_LEASED: _ClassVar[SessionState]
    SESSION_STATE_PARKED: _ClassVar[SessionState]
    SESSION_STATE_ENDING: _ClassVar[SessionState]
    SESSION_STATE_ENDED: _ClassVar[SessionState]
    SESSION_STATE_LOST: _ClassVar[SessionState]
    SESSION_STATE_ATTACHED: _ClassVar[SessionState]
SESSION_STATE_UNSPECIFIED: SessionState
SESSION_STATE_LEASED: SessionState
SESSION_STATE_PARKED: SessionState
SESSION_STATE_ENDING: SessionState
SESSION_STATE_ENDED: SessionState
SESSION_STATE_LOST: SessionState
SESSION_STATE_ATTACHED: SessionState

class AcquireRequest(_message.Message):
    __slots__ = ("function", "memory_bytes", "deadline_ms", "priority", "device_kind", "client_pid", "host_id", "request_id", "lifetime_s", "restore")
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    DEVICE_KIND_FIELD_NUMBER: _ClassVar[int]
    CLIENT_PID_FIELD_NUMBER: _ClassVar[int]
    HOST_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_S_FIELD_NUMBER: _ClassVar[int]
    RESTORE_FIELD_NUMBER: _ClassVar[int]
    function: str
    memory_bytes: int
    deadline_ms: int
    priority: int
    device_kind: str
    client_pid: int
    host_id: str
    request_id: str
    lifetime_s: int
    restore: RestoreFrom
    def __init__(self, function: _Optional[str] = ..., memory_bytes: _Optional[int] = ..., deadline_ms: _Optional[int] = ..., priority: _Optional[int] = ..., device_kind: _Optional[str] = ..., client_pid: _Optional[int] = ..., host_id: _Optional[str] = ..., request_id: _Optional[str] = ..., lifetime_s: _Optional[int] = ..., restore: _Optional[_Union[RestoreFrom, _Mapping]] = ...) -> None: ...

class RestoreFrom(_message.Message):
    __slots__ = ("session", "session_token", "server", "where", "checkpoint")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SESSION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    session: str
    session_token: str
    server: str
    where: str
    checkpoint: int
    def __init__(self, session: _Optional[str] = ..., session_token: _Optional[str] = ..., server: _Optional[str] = ..., where: _Optional[str] = ..., checkpoint: _Optional[int] = ...) -> None: ...

class Lease(_message.Message):
    __slots__ = ("session", "session_token", "endpoint", "epoch", "expires_in_s", "server", "device", "tenant", "tls", "node", "op_table_digest")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SESSION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_IN_S_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    TLS_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    OP_TABLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    session: str
    session_token: str
    endpoint: str
    epoch: int
    expires_in_s: int
    server: str
    device: str
    tenant: str
    tls: bool
    node: str
    op_table_digest: bytes
    def __init__(self, session: _Optional[str] = ..., session_token: _Optional[str] = ..., endpoint: _Optional[str] = ..., epoch: _Optional[int] = ..., expires_in_s: _Optional[int] = ..., server: _Optional[str] = ..., device: _Optional[str] = ..., tenant: _Optional[str] = ..., tls: bool = ..., node: _Optional[str] = ..., op_table_digest: _Optional[bytes] = ...) -> None: ...

class RenewRequest(_message.Message):
    __slots__ = ("session", "session_token")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SESSION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    session: str
    session_token: str
    def __init__(self, session: _Optional[str] = ..., session_token: _Optional[str] = ...) -> None: ...

class ReleaseRequest(_message.Message):
    __slots__ = ("session", "session_token", "reason")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SESSION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    session: str
    session_token: str
    reason: str
    def __init__(self, session: _Optional[str] = ..., session_token: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ReleaseReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListSessionsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListSessionsReply(_message.Message):
    __slots__ = ("sessions",)
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    sessions: _containers.RepeatedCompositeFieldContainer[SessionStatus]
    def __init__(self, sessions: _Optional[_Iterable[_Union[SessionStatus, _Mapping]]] = ...) -> None: ...

class WatchSessionRequest(_message.Message):
    __slots__ = ("session", "session_token")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SESSION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    session: str
    session_token: str
    def __init__(self, session: _Optional[str] = ..., session_token: _Optional[str] = ...) -> None: ...

class SessionStatus(_message.Message):
    __slots__ = ("session", "state", "server", "device", "epoch", "reason", "function", "memory_bytes", "age_s", "tenant", "node", "used_bytes", "peak_bytes", "kernel_s", "idle_s", "executed_commands", "running_op", "request_id", "priority", "client_pid", "replayable", "endpoint", "tls", "move", "moves", "fixed")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    AGE_S_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    PEAK_BYTES_FIELD_NUMBER: _ClassVar[int]
    KERNEL_S_FIELD_NUMBER: _ClassVar[int]
    IDLE_S_FIELD_NUMBER: _ClassVar[int]
    EXECUTED_COMMANDS_FIELD_NUMBER: _ClassVar[int]
    RUNNING_OP_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    CLIENT_PID_FIELD_NUMBER: _ClassVar[int]
    REPLAYABLE_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    TLS_FIELD_NUMBER: _ClassVar[int]
    MOVE_FIELD_NUMBER: _ClassVar[int]
    MOVES_FIELD_NUMBER: _ClassVar[int]
    FIXED_FIELD_NUMBER: _ClassVar[int]
    session: str
    state: SessionState
    server: str
    device: str
    epoch: int
    reason: str
    function: str
    memory_bytes: int
    age_s: float
    tenant: str
    node: str
    used_bytes: int
    peak_bytes: int
    kernel_s: float
    idle_s: float
    executed_commands: int
    running_op: str
    request_id: str
    priority: int
    client_pid: int
    replayable: bool
    endpoint: str
    tls: bool
    move: str
    moves: int
    fixed: str
    def __init__(self, session: _Optional[str] = ..., state: _Optional[_Union[SessionState, str]] = ..., server: _Optional[str] = ..., device: _Optional[str] = ..., epoch: _Optional[int] = ..., reason: _Optional[str] = ..., function: _Optional[str] = ..., memory_bytes: _Optional[int] = ..., age_s: _Optional[float] = ..., tenant: _Optional[str] = ..., node: _Optional[str] = ..., used_bytes: _Optional[int] = ..., peak_bytes: _Optional[int] = ..., kernel_s: _Optional[float] = ..., idle_s: _Optional[float] = ..., executed_commands: _Optional[int] = ..., running_op: _Optional[str] = ..., request_id: _Optional[str] = ..., priority: _Optional[int] = ..., client_pid: _Optional[int] = ..., replayable: bool = ..., endpoint: _Optional[str] = ..., tls: bool = ..., move: _Optional[str] = ..., moves: _Optional[int] = ..., fixed: _Optional[str] = ...) -> None: ...

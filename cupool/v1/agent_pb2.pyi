from cupool.v1 import admin_pb2 as _admin_pb2
from cupool.v1 import server_pb2 as _server_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AgentFrame(_message.Message):
    __slots__ = ("ordinal", "hello", "servers", "ended", "use", "devices", "host", "moves", "checkpoints", "logs")
    ORDINAL_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    SERVERS_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    USE_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    MOVES_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    LOGS_FIELD_NUMBER: _ClassVar[int]
    ordinal: int
    hello: AgentHello
    servers: _containers.RepeatedCompositeFieldContainer[ServerNews]
    ended: _containers.RepeatedCompositeFieldContainer[SessionEnd]
    use: _containers.RepeatedCompositeFieldContainer[ServerUse]
    devices: _containers.RepeatedCompositeFieldContainer[_admin_pb2.DeviceStatus]
    host: HostUse
    moves: _containers.RepeatedCompositeFieldContainer[MoveNews]
    checkpoints: _containers.RepeatedCompositeFieldContainer[_server_pb2.CheckpointReport]
    logs: _containers.RepeatedCompositeFieldContainer[LogLines]
    def __init__(self, ordinal: _Optional[int] = ..., hello: _Optional[_Union[AgentHello, _Mapping]] = ..., servers: _Optional[_Iterable[_Union[ServerNews, _Mapping]]] = ..., ended: _Optional[_Iterable[_Union[SessionEnd, _Mapping]]] = ..., use: _Optional[_Iterable[_Union[ServerUse, _Mapping]]] = ..., devices: _Optional[_Iterable[_Union[_admin_pb2.DeviceStatus, _Mapping]]] = ..., host: _Optional[_Union[HostUse, _Mapping]] = ..., moves: _Optional[_Iterable[_Union[MoveNews, _Mapping]]] = ..., checkpoints: _Optional[_Iterable[_Union[_server_pb2.CheckpointReport, _Mapping]]] = ..., logs: _Optional[_Iterable[_Union[LogLines, _Mapping]]] = ...) -> None: ...

class LogLines(_message.Message):
    __slots__ = ("id", "lines", "last", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: int
    lines: _containers.RepeatedScalarFieldContainer[str]
    last: bool
    error: str
    def __init__(self, id: _Optional[int] = ..., lines: _Optional[_Iterable[str]] = ..., last: bool = ..., error: _Optional[str] = ...) -> None: ...

class MoveNews(_message.Message):
    __slots__ = ("server", "report")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    server: str
    report: _server_pb2.MoveReport
    def __init__(self, server: _Optional[str] = ..., report: _Optional[_Union[_server_pb2.MoveReport, _Mapping]] = ...) -> None: ...

class AgentHello(_message.Message):
    __slots__ = ("node", "host", "version", "boot_id", "devices", "servers", "command_seq")
    NODE_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    SERVERS_FIELD_NUMBER: _ClassVar[int]
    COMMAND_SEQ_FIELD_NUMBER: _ClassVar[int]
    node: str
    host: str
    version: str
    boot_id: str
    devices: _containers.RepeatedCompositeFieldContainer[AgentDevice]
    servers: _containers.RepeatedCompositeFieldContainer[ServerNews]
    command_seq: int
    def __init__(self, node: _Optional[str] = ..., host: _Optional[str] = ..., version: _Optional[str] = ..., boot_id: _Optional[str] = ..., devices: _Optional[_Iterable[_Union[AgentDevice, _Mapping]]] = ..., servers: _Optional[_Iterable[_Union[ServerNews, _Mapping]]] = ..., command_seq: _Optional[int] = ...) -> None: ...

class AgentDevice(_message.Message):
    __slots__ = ("device", "kind", "name", "uuid", "memory_bytes")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    UUID_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    device: str
    kind: str
    name: str
    uuid: str
    memory_bytes: int
    def __init__(self, device: _Optional[str] = ..., kind: _Optional[str] = ..., name: _Optional[str] = ..., uuid: _Optional[str] = ..., memory_bytes: _Optional[int] = ...) -> None: ...

class ServerNews(_message.Message):
    __slots__ = ("server", "device", "state", "endpoint", "assignment", "attached_before", "usage", "reason", "exit_status", "fingerprint", "start_failed", "session_age_s", "client_pid", "tls", "move", "pid", "fixed", "op_table_digest")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENT_FIELD_NUMBER: _ClassVar[int]
    ATTACHED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EXIT_STATUS_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    START_FAILED_FIELD_NUMBER: _ClassVar[int]
    SESSION_AGE_S_FIELD_NUMBER: _ClassVar[int]
    CLIENT_PID_FIELD_NUMBER: _ClassVar[int]
    TLS_FIELD_NUMBER: _ClassVar[int]
    MOVE_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    FIXED_FIELD_NUMBER: _ClassVar[int]
    OP_TABLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    server: str
    device: str
    state: _server_pb2.ServerState
    endpoint: str
    assignment: _server_pb2.AssignRequest
    attached_before: bool
    usage: _server_pb2.SessionUsage
    reason: str
    exit_status: int
    fingerprint: str
    start_failed: bool
    session_age_s: float
    client_pid: int
    tls: bool
    move: _server_pb2.MoveReport
    pid: int
    fixed: str
    op_table_digest: bytes
    def __init__(self, server: _Optional[str] = ..., device: _Optional[str] = ..., state: _Optional[_Union[_server_pb2.ServerState, str]] = ..., endpoint: _Optional[str] = ..., assignment: _Optional[_Union[_server_pb2.AssignRequest, _Mapping]] = ..., attached_before: bool = ..., usage: _Optional[_Union[_server_pb2.SessionUsage, _Mapping]] = ..., reason: _Optional[str] = ..., exit_status: _Optional[int] = ..., fingerprint: _Optional[str] = ..., start_failed: bool = ..., session_age_s: _Optional[float] = ..., client_pid: _Optional[int] = ..., tls: bool = ..., move: _Optional[_Union[_server_pb2.MoveReport, _Mapping]] = ..., pid: _Optional[int] = ..., fixed: _Optional[str] = ..., op_table_digest: _Optional[bytes] = ...) -> None: ...

class SessionEnd(_message.Message):
    __slots__ = ("session", "tenant", "reason", "lost", "usage", "server", "device", "client_gone", "replayable")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    CLIENT_GONE_FIELD_NUMBER: _ClassVar[int]
    REPLAYABLE_FIELD_NUMBER: _ClassVar[int]
    session: str
    tenant: str
    reason: str
    lost: bool
    usage: _server_pb2.SessionUsage
    server: str
    device: str
    client_gone: bool
    replayable: bool
    def __init__(self, session: _Optional[str] = ..., tenant: _Optional[str] = ..., reason: _Optional[str] = ..., lost: bool = ..., usage: _Optional[_Union[_server_pb2.SessionUsage, _Mapping]] = ..., server: _Optional[str] = ..., device: _Optional[str] = ..., client_gone: bool = ..., replayable: bool = ...) -> None: ...

class ServerUse(_message.Message):
    __slots__ = ("server", "usage")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    server: str
    usage: _server_pb2.SessionUsage
    def __init__(self, server: _Optional[str] = ..., usage: _Optional[_Union[_server_pb2.SessionUsage, _Mapping]] = ...) -> None: ...

class HostUse(_message.Message):
    __slots__ = ("cpu_load", "memory_bytes", "memory_free_bytes", "unowned_bytes", "checkpoint_bytes", "checkpoint_limit_bytes", "checkpoints_waiting")
    CPU_LOAD_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    UNOWNED_BYTES_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_BYTES_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINTS_WAITING_FIELD_NUMBER: _ClassVar[int]
    cpu_load: float
    memory_bytes: int
    memory_free_bytes: int
    unowned_bytes: int
    checkpoint_bytes: int
    checkpoint_limit_bytes: int
    checkpoints_waiting: int
    def __init__(self, cpu_load: _Optional[float] = ..., memory_bytes: _Optional[int] = ..., memory_free_bytes: _Optional[int] = ..., unowned_bytes: _Optional[int] = ..., checkpoint_bytes: _Optional[int] = ..., checkpoint_limit_bytes: _Optional[int] = ..., checkpoints_waiting: _Optional[int] = ...) -> None: ...

class ControllerFrame(_message.Message):
    __slots__ = ("seq", "received", "start", "orders", "settings", "logs")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    LOGS_FIELD_NUMBER: _ClassVar[int]
    seq: int
    received: int
    start: _containers.RepeatedCompositeFieldContainer[StartServer]
    orders: _containers.RepeatedCompositeFieldContainer[ServerOrder]
    settings: PoolSettings
    logs: _containers.RepeatedCompositeFieldContainer[ReadLog]
    def __init__(self, seq: _Optional[int] = ..., received: _Optional[int] = ..., start: _Optional[_Iterable[_Union[StartServer, _Mapping]]] = ..., orders: _Optional[_Iterable[_Union[ServerOrder, _Mapping]]] = ..., settings: _Optional[_Union[PoolSettings, _Mapping]] = ..., logs: _Optional[_Iterable[_Union[ReadLog, _Mapping]]] = ...) -> None: ...

class ReadLog(_message.Message):
    __slots__ = ("id", "source", "lines", "follow", "session", "stop")
    ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    id: int
    source: str
    lines: int
    follow: bool
    session: str
    stop: bool
    def __init__(self, id: _Optional[int] = ..., source: _Optional[str] = ..., lines: _Optional[int] = ..., follow: bool = ..., session: _Optional[str] = ..., stop: bool = ...) -> None: ...

class StartServer(_message.Message):
    __slots__ = ("server", "device")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    server: str
    device: str
    def __init__(self, server: _Optional[str] = ..., device: _Optional[str] = ...) -> None: ...

class ServerOrder(_message.Message):
    __slots__ = ("server", "command", "client_pid", "client_host")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    CLIENT_PID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_HOST_FIELD_NUMBER: _ClassVar[int]
    server: str
    command: _server_pb2.ServerCommand
    client_pid: int
    client_host: str
    def __init__(self, server: _Optional[str] = ..., command: _Optional[_Union[_server_pb2.ServerCommand, _Mapping]] = ..., client_pid: _Optional[int] = ..., client_host: _Optional[str] = ...) -> None: ...

class PoolSettings(_message.Message):
    __slots__ = ("pool", "kernel_limit_ms", "start_limit_ms", "log_level", "allow_faults")
    POOL_FIELD_NUMBER: _ClassVar[int]
    KERNEL_LIMIT_MS_FIELD_NUMBER: _ClassVar[int]
    START_LIMIT_MS_FIELD_NUMBER: _ClassVar[int]
    LOG_LEVEL_FIELD_NUMBER: _ClassVar[int]
    ALLOW_FAULTS_FIELD_NUMBER: _ClassVar[int]
    pool: str
    kernel_limit_ms: int
    start_limit_ms: int
    log_level: str
    allow_faults: bool
    def __init__(self, pool: _Optional[str] = ..., kernel_limit_ms: _Optional[int] = ..., start_limit_ms: _Optional[int] = ..., log_level: _Optional[str] = ..., allow_faults: bool = ...) -> None: ...

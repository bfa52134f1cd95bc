from cupool.v1 import session_pb2 as _session_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ServerState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SERVER_STATE_UNSPECIFIED: _ClassVar[ServerState]
    SERVER_STATE_STARTING: _ClassVar[ServerState]
    SERVER_STATE_WARM: _ClassVar[ServerState]
    SERVER_STATE_LEASED: _ClassVar[ServerState]
    SERVER_STATE_PARKED: _ClassVar[ServerState]
    SERVER_STATE_ENDING: _ClassVar[ServerState]
    SERVER_STATE_DEAD: _ClassVar[ServerState]
SERVER_STATE_UNSPECIFIED: ServerState
SERVER_STATE_STARTING: ServerState
SERVER_STATE_WARM: ServerState
SERVER_STATE_LEASED: ServerState
SERVER_STATE_PARKED: ServerState
SERVER_STATE_ENDING: ServerState
SERVER_STATE_DEAD: ServerState

class AssignRequest(_message.Message):
    __slots__ = ("session", "token_sha256", "epoch", "limit_bytes", "park_grace_ms", "limits", "kernel_limit_ms", "tenant", "request_id", "kernel_quota_s", "lifetime_s", "allow_offload", "incoming")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    TOKEN_SHA256_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    PARK_GRACE_MS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    KERNEL_LIMIT_MS_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    KERNEL_QUOTA_S_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_S_FIELD_NUMBER: _ClassVar[int]
    ALLOW_OFFLOAD_FIELD_NUMBER: _ClassVar[int]
    INCOMING_FIELD_NUMBER: _ClassVar[int]
    session: str
    token_sha256: bytes
    epoch: int
    limit_bytes: int
    park_grace_ms: int
    limits: _session_pb2.Limits
    kernel_limit_ms: int
    tenant: str
    request_id: str
    kernel_quota_s: float
    lifetime_s: int
    allow_offload: bool
    incoming: Incoming
    def __init__(self, session: _Optional[str] = ..., token_sha256: _Optional[bytes] = ..., epoch: _Optional[int] = ..., limit_bytes: _Optional[int] = ..., park_grace_ms: _Optional[int] = ..., limits: _Optional[_Union[_session_pb2.Limits, _Mapping]] = ..., kernel_limit_ms: _Optional[int] = ..., tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., kernel_quota_s: _Optional[float] = ..., lifetime_s: _Optional[int] = ..., allow_offload: bool = ..., incoming: _Optional[_Union[Incoming, _Mapping]] = ...) -> None: ...

class Incoming(_message.Message):
    __slots__ = ("move", "endpoint", "tls_name", "token", "engine", "checkpoint", "limit_bytes_a_s", "session")
    MOVE_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    TLS_NAME_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    LIMIT_BYTES_A_S_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    move: str
    endpoint: str
    tls_name: str
    token: str
    engine: str
    checkpoint: str
    limit_bytes_a_s: int
    session: str
    def __init__(self, move: _Optional[str] = ..., endpoint: _Optional[str] = ..., tls_name: _Optional[str] = ..., token: _Optional[str] = ..., engine: _Optional[str] = ..., checkpoint: _Optional[str] = ..., limit_bytes_a_s: _Optional[int] = ..., session: _Optional[str] = ...) -> None: ...

class AssignReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class UnassignRequest(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: str
    def __init__(self, session: _Optional[str] = ...) -> None: ...

class UnassignReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ServerCommand(_message.Message):
    __slots__ = ("assign", "unassign", "end", "move_out", "cancel_move", "take_back", "checkpoint")
    ASSIGN_FIELD_NUMBER: _ClassVar[int]
    UNASSIGN_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    MOVE_OUT_FIELD_NUMBER: _ClassVar[int]
    CANCEL_MOVE_FIELD_NUMBER: _ClassVar[int]
    TAKE_BACK_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    assign: AssignRequest
    unassign: UnassignRequest
    end: EndRequest
    move_out: MoveOut
    cancel_move: CancelMove
    take_back: TakeBack
    checkpoint: Checkpoint
    def __init__(self, assign: _Optional[_Union[AssignRequest, _Mapping]] = ..., unassign: _Optional[_Union[UnassignRequest, _Mapping]] = ..., end: _Optional[_Union[EndRequest, _Mapping]] = ..., move_out: _Optional[_Union[MoveOut, _Mapping]] = ..., cancel_move: _Optional[_Union[CancelMove, _Mapping]] = ..., take_back: _Optional[_Union[TakeBack, _Mapping]] = ..., checkpoint: _Optional[_Union[Checkpoint, _Mapping]] = ...) -> None: ...

class MoveOut(_message.Message):
    __slots__ = ("session", "move", "token_sha256", "endpoint", "tls_name", "epoch", "destination", "max_pause_ms", "timeout_ms", "is_cold")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    MOVE_FIELD_NUMBER: _ClassVar[int]
    TOKEN_SHA256_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    TLS_NAME_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    MAX_PAUSE_MS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    IS_COLD_FIELD_NUMBER: _ClassVar[int]
    session: str
    move: str
    token_sha256: bytes
    endpoint: str
    tls_name: str
    epoch: int
    destination: str
    max_pause_ms: int
    timeout_ms: int
    is_cold: bool
    def __init__(self, session: _Optional[str] = ..., move: _Optional[str] = ..., token_sha256: _Optional[bytes] = ..., endpoint: _Optional[str] = ..., tls_name: _Optional[str] = ..., epoch: _Optional[int] = ..., destination: _Optional[str] = ..., max_pause_ms: _Optional[int] = ..., timeout_ms: _Optional[int] = ..., is_cold: bool = ...) -> None: ...

class CancelMove(_message.Message):
    __slots__ = ("session", "move", "reason")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    MOVE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    session: str
    move: str
    reason: str
    def __init__(self, session: _Optional[str] = ..., move: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class TakeBack(_message.Message):
    __slots__ = ("session", "move", "epoch")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    MOVE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    session: str
    move: str
    epoch: int
    def __init__(self, session: _Optional[str] = ..., move: _Optional[str] = ..., epoch: _Optional[int] = ...) -> None: ...

class Checkpoint(_message.Message):
    __slots__ = ("session", "checkpoint", "path", "end")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    session: str
    checkpoint: str
    path: str
    end: bool
    def __init__(self, session: _Optional[str] = ..., checkpoint: _Optional[str] = ..., path: _Optional[str] = ..., end: bool = ...) -> None: ...

class ServerReport(_message.Message):
    __slots__ = ("ready", "session", "unassign_refused", "move", "checkpoint", "fixed")
    READY_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    UNASSIGN_REFUSED_FIELD_NUMBER: _ClassVar[int]
    MOVE_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    FIXED_FIELD_NUMBER: _ClassVar[int]
    ready: ServerReady
    session: SessionChange
    unassign_refused: UnassignRefused
    move: MoveReport
    checkpoint: CheckpointReport
    fixed: SessionFixed
    def __init__(self, ready: _Optional[_Union[ServerReady, _Mapping]] = ..., session: _Optional[_Union[SessionChange, _Mapping]] = ..., unassign_refused: _Optional[_Union[UnassignRefused, _Mapping]] = ..., move: _Optional[_Union[MoveReport, _Mapping]] = ..., checkpoint: _Optional[_Union[CheckpointReport, _Mapping]] = ..., fixed: _Optional[_Union[SessionFixed, _Mapping]] = ...) -> None: ...

class MoveReport(_message.Message):
    __slots__ = ("session", "move", "phase", "reason", "total_bytes", "copied_bytes", "dirty_bytes", "rounds", "pause_ms", "epoch", "executed_seq", "is_source")
    class Phase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        PHASE_UNSPECIFIED: _ClassVar[MoveReport.Phase]
        COPYING: _ClassVar[MoveReport.Phase]
        STOPPED: _ClassVar[MoveReport.Phase]
        READY: _ClassVar[MoveReport.Phase]
        RELEASED: _ClassVar[MoveReport.Phase]
        FAILED: _ClassVar[MoveReport.Phase]
        TAKEN_BACK: _ClassVar[MoveReport.Phase]
        OWNER: _ClassVar[MoveReport.Phase]
    PHASE_UNSPECIFIED: MoveReport.Phase
    COPYING: MoveReport.Phase
    STOPPED: MoveReport.Phase
    READY: MoveReport.Phase
    RELEASED: MoveReport.Phase
    FAILED: MoveReport.Phase
    TAKEN_BACK: MoveReport.Phase
    OWNER: MoveReport.Phase
    SESSION_FIELD_NUMBER: _ClassVar[int]
    MOVE_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    COPIED_BYTES_FIELD_NUMBER: _ClassVar[int]
    DIRTY_BYTES_FIELD_NUMBER: _ClassVar[int]
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    PAUSE_MS_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    EXECUTED_SEQ_FIELD_NUMBER: _ClassVar[int]
    IS_SOURCE_FIELD_NUMBER: _ClassVar[int]
    session: str
    move: str
    phase: MoveReport.Phase
    reason: str
    total_bytes: int
    copied_bytes: int
    dirty_bytes: int
    rounds: int
    pause_ms: float
    epoch: int
    executed_seq: int
    is_source: bool
    def __init__(self, session: _Optional[str] = ..., move: _Optional[str] = ..., phase: _Optional[_Union[MoveReport.Phase, str]] = ..., reason: _Optional[str] = ..., total_bytes: _Optional[int] = ..., copied_bytes: _Optional[int] = ..., dirty_bytes: _Optional[int] = ..., rounds: _Optional[int] = ..., pause_ms: _Optional[float] = ..., epoch: _Optional[int] = ..., executed_seq: _Optional[int] = ..., is_source: bool = ...) -> None: ...

class SessionFixed(_message.Message):
    __slots__ = ("session", "reason")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    session: str
    reason: str
    def __init__(self, session: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class CheckpointReport(_message.Message):
    __slots__ = ("session", "checkpoint", "path", "nbytes", "executed_seq", "error")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    NBYTES_FIELD_NUMBER: _ClassVar[int]
    EXECUTED_SEQ_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    session: str
    checkpoint: str
    path: str
    nbytes: int
    executed_seq: int
    error: str
    def __init__(self, session: _Optional[str] = ..., checkpoint: _Optional[str] = ..., path: _Optional[str] = ..., nbytes: _Optional[int] = ..., executed_seq: _Optional[int] = ..., error: _Optional[str] = ...) -> None: ...

class ServerReady(_message.Message):
    __slots__ = ("endpoint", "pid", "fingerprint", "op_table_digest")
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    OP_TABLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    endpoint: str
    pid: int
    fingerprint: str
    op_table_digest: bytes
    def __init__(self, endpoint: _Optional[str] = ..., pid: _Optional[int] = ..., fingerprint: _Optional[str] = ..., op_table_digest: _Optional[bytes] = ...) -> None: ...

class SessionChange(_message.Message):
    __slots__ = ("session", "kind", "reason", "usage", "expired")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[SessionChange.Kind]
        ASSIGNED: _ClassVar[SessionChange.Kind]
        UNASSIGNED: _ClassVar[SessionChange.Kind]
        ATTACHED: _ClassVar[SessionChange.Kind]
        PARKED: _ClassVar[SessionChange.Kind]
        ENDED: _ClassVar[SessionChange.Kind]
    KIND_UNSPECIFIED: SessionChange.Kind
    ASSIGNED: SessionChange.Kind
    UNASSIGNED: SessionChange.Kind
    ATTACHED: SessionChange.Kind
    PARKED: SessionChange.Kind
    ENDED: SessionChange.Kind
    SESSION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    session: str
    kind: SessionChange.Kind
    reason: str
    usage: SessionUsage
    expired: bool
    def __init__(self, session: _Optional[str] = ..., kind: _Optional[_Union[SessionChange.Kind, str]] = ..., reason: _Optional[str] = ..., usage: _Optional[_Union[SessionUsage, _Mapping]] = ..., expired: bool = ...) -> None: ...

class UnassignRefused(_message.Message):
    __slots__ = ("session", "reason")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    session: str
    reason: str
    def __init__(self, session: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class SessionUsage(_message.Message):
    __slots__ = ("used_bytes", "peak_bytes", "handles", "kernel_s", "executed_commands", "failed_commands", "idle_s", "attached", "running_op")
    USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    PEAK_BYTES_FIELD_NUMBER: _ClassVar[int]
    HANDLES_FIELD_NUMBER: _ClassVar[int]
    KERNEL_S_FIELD_NUMBER: _ClassVar[int]
    EXECUTED_COMMANDS_FIELD_NUMBER: _ClassVar[int]
    FAILED_COMMANDS_FIELD_NUMBER: _ClassVar[int]
    IDLE_S_FIELD_NUMBER: _ClassVar[int]
    ATTACHED_FIELD_NUMBER: _ClassVar[int]
    RUNNING_OP_FIELD_NUMBER: _ClassVar[int]
    used_bytes: int
    peak_bytes: int
    handles: int
    kernel_s: float
    executed_commands: int
    failed_commands: int
    idle_s: float
    attached: bool
    running_op: str
    def __init__(self, used_bytes: _Optional[int] = ..., peak_bytes: _Optional[int] = ..., handles: _Optional[int] = ..., kernel_s: _Optional[float] = ..., executed_commands: _Optional[int] = ..., failed_commands: _Optional[int] = ..., idle_s: _Optional[float] = ..., attached: bool = ..., running_op: _Optional[str] = ...) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class EndRequest(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class EndReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ServerStatus(_message.Message):
    __slots__ = ("server", "state", "session", "device", "used_bytes", "peak_bytes", "handles", "executed_seq", "executed_commands", "failed_commands", "kernel_s", "idle_s", "attached", "running_op", "pid", "device_id", "node")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    PEAK_BYTES_FIELD_NUMBER: _ClassVar[int]
    HANDLES_FIELD_NUMBER: _ClassVar[int]
    EXECUTED_SEQ_FIELD_NUMBER: _ClassVar[int]
    EXECUTED_COMMANDS_FIELD_NUMBER: _ClassVar[int]
    FAILED_COMMANDS_FIELD_NUMBER: _ClassVar[int]
    KERNEL_S_FIELD_NUMBER: _ClassVar[int]
    IDLE_S_FIELD_NUMBER: _ClassVar[int]
    ATTACHED_FIELD_NUMBER: _ClassVar[int]
    RUNNING_OP_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    server: str
    state: ServerState
    session: str
    device: _session_pb2.DeviceInfo
    used_bytes: int
    peak_bytes: int
    handles: int
    executed_seq: int
    executed_commands: int
    failed_commands: int
    kernel_s: float
    idle_s: float
    attached: bool
    running_op: str
    pid: int
    device_id: str
    node: str
    def __init__(self, server: _Optional[str] = ..., state: _Optional[_Union[ServerState, str]] = ..., session: _Optional[str] = ..., device: _Optional[_Union[_session_pb2.DeviceInfo, _Mapping]] = ..., used_bytes: _Optional[int] = ..., peak_bytes: _Optional[int] = ..., handles: _Optional[int] = ..., executed_seq: _Optional[int] = ..., executed_commands: _Optional[int] = ..., failed_commands: _Optional[int] = ..., kernel_s: _Optional[float] = ..., idle_s: _Optional[float] = ..., attached: bool = ..., running_op: _Optional[str] = ..., pid: _Optional[int] = ..., device_id: _Optional[str] = ..., node: _Optional[str] = ...) -> None: ...

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
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: str
    def __init__(self, session: _Optional[str] = ...) -> None: ...

class CordonRequest(_message.Message):
    __slots__ = ("device", "reason")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    device: str
    reason: str
    def __init__(self, device: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class CordonReply(_message.Message):
    __slots__ = ("device",)
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    device: str
    def __init__(self, device: _Optional[str] = ...) -> None: ...

class UncordonRequest(_message.Message):
    __slots__ = ("device",)
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    device: str
    def __init__(self, device: _Optional[str] = ...) -> None: ...

class UncordonReply(_message.Message):
    __slots__ = ("device",)
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    device: str
    def __init__(self, device: _Optional[str] = ...) -> None: ...

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
    __slots__ = ("remaining_sessions", "moved", "done", "waiting")
    REMAINING_SESSIONS_FIELD_NUMBER: _ClassVar[int]
    MOVED_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    remaining_sessions: int
    moved: _containers.RepeatedScalarFieldContainer[str]
    done: bool
    waiting: _containers.RepeatedCompositeFieldContainer[DrainWaiting]
    def __init__(self, remaining_sessions: _Optional[int] = ..., moved: _Optional[_Iterable[str]] = ..., done: bool = ..., waiting: _Optional[_Iterable[_Union[DrainWaiting, _Mapping]]] = ...) -> None: ...

class DrainWaiting(_message.Message):
    __slots__ = ("session", "reason")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    session: str
    reason: str
    def __init__(self, session: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class MoveSessionRequest(_message.Message):
    __slots__ = ("session", "device", "engine", "reason", "max_pause_ms", "timeout_ms", "is_cold", "by")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MAX_PAUSE_MS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    IS_COLD_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    session: str
    device: str
    engine: str
    reason: str
    max_pause_ms: int
    timeout_ms: int
    is_cold: bool
    by: str
    def __init__(self, session: _Optional[str] = ..., device: _Optional[str] = ..., engine: _Optional[str] = ..., reason: _Optional[str] = ..., max_pause_ms: _Optional[int] = ..., timeout_ms: _Optional[int] = ..., is_cold: bool = ..., by: _Optional[str] = ...) -> None: ...

class MoveProgress(_message.Message):
    __slots__ = ("phase", "copied_bytes", "total_bytes", "done", "error", "move", "session", "source", "destination", "dirty_bytes", "rounds", "pause_ms", "age_s", "reason", "by", "engine", "epoch", "ended_s")
    PHASE_FIELD_NUMBER: _ClassVar[int]
    COPIED_BYTES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    MOVE_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    DIRTY_BYTES_FIELD_NUMBER: _ClassVar[int]
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    PAUSE_MS_FIELD_NUMBER: _ClassVar[int]
    AGE_S_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ENDED_S_FIELD_NUMBER: _ClassVar[int]
    phase: str
    copied_bytes: int
    total_bytes: int
    done: bool
    error: str
    move: str
    session: str
    source: str
    destination: str
    dirty_bytes: int
    rounds: int
    pause_ms: float
    age_s: float
    reason: str
    by: str
    engine: str
    epoch: int
    ended_s: float
    def __init__(self, phase: _Optional[str] = ..., copied_bytes: _Optional[int] = ..., total_bytes: _Optional[int] = ..., done: bool = ..., error: _Optional[str] = ..., move: _Optional[str] = ..., session: _Optional[str] = ..., source: _Optional[str] = ..., destination: _Optional[str] = ..., dirty_bytes: _Optional[int] = ..., rounds: _Optional[int] = ..., pause_ms: _Optional[float] = ..., age_s: _Optional[float] = ..., reason: _Optional[str] = ..., by: _Optional[str] = ..., engine: _Optional[str] = ..., epoch: _Optional[int] = ..., ended_s: _Optional[float] = ...) -> None: ...

class ListMovesRequest(_message.Message):
    __slots__ = ("recent",)
    RECENT_FIELD_NUMBER: _ClassVar[int]
    recent: bool
    def __init__(self, recent: bool = ...) -> None: ...

class ListMovesReply(_message.Message):
    __slots__ = ("moves",)
    MOVES_FIELD_NUMBER: _ClassVar[int]
    moves: _containers.RepeatedCompositeFieldContainer[MoveProgress]
    def __init__(self, moves: _Optional[_Iterable[_Union[MoveProgress, _Mapping]]] = ...) -> None: ...

class CancelMoveRequest(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: str
    def __init__(self, session: _Optional[str] = ...) -> None: ...

class CancelMoveReply(_message.Message):
    __slots__ = ("move", "session")
    MOVE_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    move: str
    session: str
    def __init__(self, move: _Optional[str] = ..., session: _Optional[str] = ...) -> None: ...

class SaveSessionRequest(_message.Message):
    __slots__ = ("session", "name", "end")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    session: str
    name: str
    end: bool
    def __init__(self, session: _Optional[str] = ..., name: _Optional[str] = ..., end: bool = ...) -> None: ...

class SaveSessionReply(_message.Message):
    __slots__ = ("checkpoint", "path", "nbytes", "node")
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    NBYTES_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    checkpoint: str
    path: str
    nbytes: int
    node: str
    def __init__(self, checkpoint: _Optional[str] = ..., path: _Optional[str] = ..., nbytes: _Optional[int] = ..., node: _Optional[str] = ...) -> None: ...

class RestoreSessionRequest(_message.Message):
    __slots__ = ("checkpoint", "device")
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    checkpoint: str
    device: str
    def __init__(self, checkpoint: _Optional[str] = ..., device: _Optional[str] = ...) -> None: ...

class RestoreSessionReply(_message.Message):
    __slots__ = ("session", "session_token", "endpoint", "epoch", "tls", "node")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SESSION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    TLS_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    session: str
    session_token: str
    endpoint: str
    epoch: int
    tls: bool
    node: str
    def __init__(self, session: _Optional[str] = ..., session_token: _Optional[str] = ..., endpoint: _Optional[str] = ..., epoch: _Optional[int] = ..., tls: bool = ..., node: _Optional[str] = ...) -> None: ...

class ListSavedSessionsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListSavedSessionsReply(_message.Message):
    __slots__ = ("saved",)
    SAVED_FIELD_NUMBER: _ClassVar[int]
    saved: _containers.RepeatedCompositeFieldContainer[SavedSession]
    def __init__(self, saved: _Optional[_Iterable[_Union[SavedSession, _Mapping]]] = ...) -> None: ...

class SavedSession(_message.Message):
    __slots__ = ("checkpoint", "session", "tenant", "function", "kind", "nbytes", "memory_bytes", "age_s", "reason")
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NBYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    AGE_S_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    checkpoint: str
    session: str
    tenant: str
    function: str
    kind: str
    nbytes: int
    memory_bytes: int
    age_s: float
    reason: str
    def __init__(self, checkpoint: _Optional[str] = ..., session: _Optional[str] = ..., tenant: _Optional[str] = ..., function: _Optional[str] = ..., kind: _Optional[str] = ..., nbytes: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., age_s: _Optional[float] = ..., reason: _Optional[str] = ...) -> None: ...

class GetSnapshotRequest(_message.Message):
    __slots__ = ("balancer",)
    BALANCER_FIELD_NUMBER: _ClassVar[int]
    balancer: str
    def __init__(self, balancer: _Optional[str] = ...) -> None: ...

class Snapshot(_message.Message):
    __slots__ = ("at_s", "devices", "sessions", "waiting", "policy", "dry_run")
    AT_S_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    at_s: float
    devices: _containers.RepeatedCompositeFieldContainer[SnapshotDevice]
    sessions: _containers.RepeatedCompositeFieldContainer[SnapshotSession]
    waiting: _containers.RepeatedCompositeFieldContainer[SnapshotWaiting]
    policy: str
    dry_run: bool
    def __init__(self, at_s: _Optional[float] = ..., devices: _Optional[_Iterable[_Union[SnapshotDevice, _Mapping]]] = ..., sessions: _Optional[_Iterable[_Union[SnapshotSession, _Mapping]]] = ..., waiting: _Optional[_Iterable[_Union[SnapshotWaiting, _Mapping]]] = ..., policy: _Optional[str] = ..., dry_run: bool = ...) -> None: ...

class SnapshotDevice(_message.Message):
    __slots__ = ("device", "kind", "fingerprint", "memory_bytes", "promised_bytes", "utilisation", "sessions", "max_sessions", "warm", "cordoned", "draining", "failed", "is_connected", "power_w", "power_limit_w", "link_bytes_a_s", "node")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    PROMISED_BYTES_FIELD_NUMBER: _ClassVar[int]
    UTILISATION_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    MAX_SESSIONS_FIELD_NUMBER: _ClassVar[int]
    WARM_FIELD_NUMBER: _ClassVar[int]
    CORDONED_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    IS_CONNECTED_FIELD_NUMBER: _ClassVar[int]
    POWER_W_FIELD_NUMBER: _ClassVar[int]
    POWER_LIMIT_W_FIELD_NUMBER: _ClassVar[int]
    LINK_BYTES_A_S_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    device: str
    kind: str
    fingerprint: str
    memory_bytes: int
    promised_bytes: int
    utilisation: float
    sessions: int
    max_sessions: int
    warm: int
    cordoned: bool
    draining: bool
    failed: bool
    is_connected: bool
    power_w: float
    power_limit_w: float
    link_bytes_a_s: float
    node: str
    def __init__(self, device: _Optional[str] = ..., kind: _Optional[str] = ..., fingerprint: _Optional[str] = ..., memory_bytes: _Optional[int] = ..., promised_bytes: _Optional[int] = ..., utilisation: _Optional[float] = ..., sessions: _Optional[int] = ..., max_sessions: _Optional[int] = ..., warm: _Optional[int] = ..., cordoned: bool = ..., draining: bool = ..., failed: bool = ..., is_connected: bool = ..., power_w: _Optional[float] = ..., power_limit_w: _Optional[float] = ..., link_bytes_a_s: _Optional[float] = ..., node: _Optional[str] = ...) -> None: ...

class SnapshotSession(_message.Message):
    __slots__ = ("session", "device", "tenant", "priority", "memory_bytes", "used_bytes", "utilisation", "dirty_bytes_a_s", "age_s", "last_move_s", "moves", "moving", "attached", "fixed", "destination")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    UTILISATION_FIELD_NUMBER: _ClassVar[int]
    DIRTY_BYTES_A_S_FIELD_NUMBER: _ClassVar[int]
    AGE_S_FIELD_NUMBER: _ClassVar[int]
    LAST_MOVE_S_FIELD_NUMBER: _ClassVar[int]
    MOVES_FIELD_NUMBER: _ClassVar[int]
    MOVING_FIELD_NUMBER: _ClassVar[int]
    ATTACHED_FIELD_NUMBER: _ClassVar[int]
    FIXED_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    session: str
    device: str
    tenant: str
    priority: int
    memory_bytes: int
    used_bytes: int
    utilisation: float
    dirty_bytes_a_s: float
    age_s: float
    last_move_s: float
    moves: int
    moving: bool
    attached: bool
    fixed: str
    destination: str
    def __init__(self, session: _Optional[str] = ..., device: _Optional[str] = ..., tenant: _Optional[str] = ..., priority: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., used_bytes: _Optional[int] = ..., utilisation: _Optional[float] = ..., dirty_bytes_a_s: _Optional[float] = ..., age_s: _Optional[float] = ..., last_move_s: _Optional[float] = ..., moves: _Optional[int] = ..., moving: bool = ..., attached: bool = ..., fixed: _Optional[str] = ..., destination: _Optional[str] = ...) -> None: ...

class SnapshotWaiting(_message.Message):
    __slots__ = ("tenant", "memory_bytes", "kind", "waited_s", "priority")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    WAITED_S_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    memory_bytes: int
    kind: str
    waited_s: float
    priority: int
    def __init__(self, tenant: _Optional[str] = ..., memory_bytes: _Optional[int] = ..., kind: _Optional[str] = ..., waited_s: _Optional[float] = ..., priority: _Optional[int] = ...) -> None: ...

class BalanceDecision(_message.Message):
    __slots__ = ("at_s", "policy", "dry_run", "moves", "reasons", "took_ms", "sessions", "balancer", "failed")
    AT_S_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    MOVES_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    TOOK_MS_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    BALANCER_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    at_s: float
    policy: str
    dry_run: bool
    moves: _containers.RepeatedCompositeFieldContainer[BalanceMove]
    reasons: _containers.RepeatedScalarFieldContainer[str]
    took_ms: float
    sessions: _containers.RepeatedCompositeFieldContainer[SessionReason]
    balancer: str
    failed: _containers.RepeatedCompositeFieldContainer[SessionReason]
    def __init__(self, at_s: _Optional[float] = ..., policy: _Optional[str] = ..., dry_run: bool = ..., moves: _Optional[_Iterable[_Union[BalanceMove, _Mapping]]] = ..., reasons: _Optional[_Iterable[str]] = ..., took_ms: _Optional[float] = ..., sessions: _Optional[_Iterable[_Union[SessionReason, _Mapping]]] = ..., balancer: _Optional[str] = ..., failed: _Optional[_Iterable[_Union[SessionReason, _Mapping]]] = ...) -> None: ...

class SessionReason(_message.Message):
    __slots__ = ("session", "reason")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    session: str
    reason: str
    def __init__(self, session: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class BalanceMove(_message.Message):
    __slots__ = ("session", "source", "destination", "reason", "gain_s", "cost_s")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    GAIN_S_FIELD_NUMBER: _ClassVar[int]
    COST_S_FIELD_NUMBER: _ClassVar[int]
    session: str
    source: str
    destination: str
    reason: str
    gain_s: float
    cost_s: float
    def __init__(self, session: _Optional[str] = ..., source: _Optional[str] = ..., destination: _Optional[str] = ..., reason: _Optional[str] = ..., gain_s: _Optional[float] = ..., cost_s: _Optional[float] = ...) -> None: ...

class ReportDecisionReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetBalanceRequest(_message.Message):
    __slots__ = ("last",)
    LAST_FIELD_NUMBER: _ClassVar[int]
    last: int
    def __init__(self, last: _Optional[int] = ...) -> None: ...

class GetBalanceReply(_message.Message):
    __slots__ = ("policy", "dry_run", "is_running", "decisions", "balancer", "seen_s", "snapshots", "moves_decided", "moves_failed")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    IS_RUNNING_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    BALANCER_FIELD_NUMBER: _ClassVar[int]
    SEEN_S_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOTS_FIELD_NUMBER: _ClassVar[int]
    MOVES_DECIDED_FIELD_NUMBER: _ClassVar[int]
    MOVES_FAILED_FIELD_NUMBER: _ClassVar[int]
    policy: str
    dry_run: bool
    is_running: bool
    decisions: _containers.RepeatedCompositeFieldContainer[BalanceDecision]
    balancer: str
    seen_s: float
    snapshots: int
    moves_decided: int
    moves_failed: int
    def __init__(self, policy: _Optional[str] = ..., dry_run: bool = ..., is_running: bool = ..., decisions: _Optional[_Iterable[_Union[BalanceDecision, _Mapping]]] = ..., balancer: _Optional[str] = ..., seen_s: _Optional[float] = ..., snapshots: _Optional[int] = ..., moves_decided: _Optional[int] = ..., moves_failed: _Optional[int] = ...) -> None: ...

class SetBalanceRequest(_message.Message):
    __slots__ = ("policy", "dry_run")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    policy: str
    dry_run: bool
    def __init__(self, policy: _Optional[str] = ..., dry_run: bool = ...) -> None: ...

class SetBalanceReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SetQuotaRequest(_message.Message):
    __slots__ = ("tenant", "sessions", "memory_bytes", "kernel_s", "opens_per_s", "queue_places", "fields", "allow_offload", "lifetime_s", "park_grace_ms", "weight", "require_cert")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    KERNEL_S_FIELD_NUMBER: _ClassVar[int]
    OPENS_PER_S_FIELD_NUMBER: _ClassVar[int]
    QUEUE_PLACES_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    ALLOW_OFFLOAD_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_S_FIELD_NUMBER: _ClassVar[int]
    PARK_GRACE_MS_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    REQUIRE_CERT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    sessions: int
    memory_bytes: int
    kernel_s: float
    opens_per_s: float
    queue_places: int
    fields: _containers.RepeatedScalarFieldContainer[str]
    allow_offload: bool
    lifetime_s: int
    park_grace_ms: int
    weight: float
    require_cert: bool
    def __init__(self, tenant: _Optional[str] = ..., sessions: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., kernel_s: _Optional[float] = ..., opens_per_s: _Optional[float] = ..., queue_places: _Optional[int] = ..., fields: _Optional[_Iterable[str]] = ..., allow_offload: bool = ..., lifetime_s: _Optional[int] = ..., park_grace_ms: _Optional[int] = ..., weight: _Optional[float] = ..., require_cert: bool = ...) -> None: ...

class SetQuotaReply(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: TenantStatus
    def __init__(self, tenant: _Optional[_Union[TenantStatus, _Mapping]] = ...) -> None: ...

class GetPoolRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PoolStatus(_message.Message):
    __slots__ = ("version", "pool", "uptime_s", "nodes", "devices", "cordoned", "servers", "warm", "sessions", "parked", "queued", "leases_given", "leases_refused", "sessions_lost", "reclaimed_bytes", "insecure", "warnings", "draining", "queue_oldest_s", "restarts", "refusals", "lease_latency", "moving", "moves", "move_pause", "moved_bytes")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    UPTIME_S_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    CORDONED_FIELD_NUMBER: _ClassVar[int]
    SERVERS_FIELD_NUMBER: _ClassVar[int]
    WARM_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    PARKED_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    LEASES_GIVEN_FIELD_NUMBER: _ClassVar[int]
    LEASES_REFUSED_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_LOST_FIELD_NUMBER: _ClassVar[int]
    RECLAIMED_BYTES_FIELD_NUMBER: _ClassVar[int]
    INSECURE_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    QUEUE_OLDEST_S_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    LEASE_LATENCY_FIELD_NUMBER: _ClassVar[int]
    MOVING_FIELD_NUMBER: _ClassVar[int]
    MOVES_FIELD_NUMBER: _ClassVar[int]
    MOVE_PAUSE_FIELD_NUMBER: _ClassVar[int]
    MOVED_BYTES_FIELD_NUMBER: _ClassVar[int]
    version: str
    pool: str
    uptime_s: float
    nodes: int
    devices: int
    cordoned: int
    servers: int
    warm: int
    sessions: int
    parked: int
    queued: int
    leases_given: int
    leases_refused: int
    sessions_lost: int
    reclaimed_bytes: int
    insecure: bool
    warnings: _containers.RepeatedScalarFieldContainer[str]
    draining: bool
    queue_oldest_s: float
    restarts: int
    refusals: _containers.RepeatedCompositeFieldContainer[RefusalCount]
    lease_latency: LatencyHistogram
    moving: int
    moves: _containers.RepeatedCompositeFieldContainer[MoveCount]
    move_pause: LatencyHistogram
    moved_bytes: int
    def __init__(self, version: _Optional[str] = ..., pool: _Optional[str] = ..., uptime_s: _Optional[float] = ..., nodes: _Optional[int] = ..., devices: _Optional[int] = ..., cordoned: _Optional[int] = ..., servers: _Optional[int] = ..., warm: _Optional[int] = ..., sessions: _Optional[int] = ..., parked: _Optional[int] = ..., queued: _Optional[int] = ..., leases_given: _Optional[int] = ..., leases_refused: _Optional[int] = ..., sessions_lost: _Optional[int] = ..., reclaimed_bytes: _Optional[int] = ..., insecure: bool = ..., warnings: _Optional[_Iterable[str]] = ..., draining: bool = ..., queue_oldest_s: _Optional[float] = ..., restarts: _Optional[int] = ..., refusals: _Optional[_Iterable[_Union[RefusalCount, _Mapping]]] = ..., lease_latency: _Optional[_Union[LatencyHistogram, _Mapping]] = ..., moving: _Optional[int] = ..., moves: _Optional[_Iterable[_Union[MoveCount, _Mapping]]] = ..., move_pause: _Optional[_Union[LatencyHistogram, _Mapping]] = ..., moved_bytes: _Optional[int] = ...) -> None: ...

class RefusalCount(_message.Message):
    __slots__ = ("reason", "count")
    REASON_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    reason: str
    count: int
    def __init__(self, reason: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class MoveCount(_message.Message):
    __slots__ = ("outcome", "count")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    outcome: str
    count: int
    def __init__(self, outcome: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class LatencyHistogram(_message.Message):
    __slots__ = ("bounds_s", "counts", "sum_s")
    BOUNDS_S_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    SUM_S_FIELD_NUMBER: _ClassVar[int]
    bounds_s: _containers.RepeatedScalarFieldContainer[float]
    counts: _containers.RepeatedScalarFieldContainer[int]
    sum_s: float
    def __init__(self, bounds_s: _Optional[_Iterable[float]] = ..., counts: _Optional[_Iterable[int]] = ..., sum_s: _Optional[float] = ...) -> None: ...

class ListNodesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListNodesReply(_message.Message):
    __slots__ = ("nodes",)
    NODES_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[NodeStatus]
    def __init__(self, nodes: _Optional[_Iterable[_Union[NodeStatus, _Mapping]]] = ...) -> None: ...

class NodeStatus(_message.Message):
    __slots__ = ("node", "host", "version", "connected", "seen_s", "devices", "servers", "sessions", "cpu_load", "memory_bytes", "memory_free_bytes", "reason", "checkpoint_bytes", "checkpoint_limit_bytes", "checkpoints_waiting")
    NODE_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    SEEN_S_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    SERVERS_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    CPU_LOAD_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_BYTES_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINTS_WAITING_FIELD_NUMBER: _ClassVar[int]
    node: str
    host: str
    version: str
    connected: bool
    seen_s: float
    devices: _containers.RepeatedScalarFieldContainer[str]
    servers: int
    sessions: int
    cpu_load: float
    memory_bytes: int
    memory_free_bytes: int
    reason: str
    checkpoint_bytes: int
    checkpoint_limit_bytes: int
    checkpoints_waiting: int
    def __init__(self, node: _Optional[str] = ..., host: _Optional[str] = ..., version: _Optional[str] = ..., connected: bool = ..., seen_s: _Optional[float] = ..., devices: _Optional[_Iterable[str]] = ..., servers: _Optional[int] = ..., sessions: _Optional[int] = ..., cpu_load: _Optional[float] = ..., memory_bytes: _Optional[int] = ..., memory_free_bytes: _Optional[int] = ..., reason: _Optional[str] = ..., checkpoint_bytes: _Optional[int] = ..., checkpoint_limit_bytes: _Optional[int] = ..., checkpoints_waiting: _Optional[int] = ...) -> None: ...

class ListDevicesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListDevicesReply(_message.Message):
    __slots__ = ("devices",)
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    devices: _containers.RepeatedCompositeFieldContainer[DeviceStatus]
    def __init__(self, devices: _Optional[_Iterable[_Union[DeviceStatus, _Mapping]]] = ...) -> None: ...

class DeviceStatus(_message.Message):
    __slots__ = ("device", "node", "kind", "name", "uuid", "total_bytes", "leased_bytes", "used_bytes", "observed_bytes", "unowned_bytes", "sessions", "warm", "utilization", "power_w", "power_limit_w", "temperature_c", "cordoned", "reason", "errors", "ecc_uncorrected", "throttle", "draining")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    UUID_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    LEASED_BYTES_FIELD_NUMBER: _ClassVar[int]
    USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_BYTES_FIELD_NUMBER: _ClassVar[int]
    UNOWNED_BYTES_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    WARM_FIELD_NUMBER: _ClassVar[int]
    UTILIZATION_FIELD_NUMBER: _ClassVar[int]
    POWER_W_FIELD_NUMBER: _ClassVar[int]
    POWER_LIMIT_W_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_C_FIELD_NUMBER: _ClassVar[int]
    CORDONED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    ECC_UNCORRECTED_FIELD_NUMBER: _ClassVar[int]
    THROTTLE_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    device: str
    node: str
    kind: str
    name: str
    uuid: str
    total_bytes: int
    leased_bytes: int
    used_bytes: int
    observed_bytes: int
    unowned_bytes: int
    sessions: int
    warm: int
    utilization: float
    power_w: float
    power_limit_w: float
    temperature_c: float
    cordoned: bool
    reason: str
    errors: _containers.RepeatedCompositeFieldContainer[DeviceError]
    ecc_uncorrected: int
    throttle: str
    draining: bool
    def __init__(self, device: _Optional[str] = ..., node: _Optional[str] = ..., kind: _Optional[str] = ..., name: _Optional[str] = ..., uuid: _Optional[str] = ..., total_bytes: _Optional[int] = ..., leased_bytes: _Optional[int] = ..., used_bytes: _Optional[int] = ..., observed_bytes: _Optional[int] = ..., unowned_bytes: _Optional[int] = ..., sessions: _Optional[int] = ..., warm: _Optional[int] = ..., utilization: _Optional[float] = ..., power_w: _Optional[float] = ..., power_limit_w: _Optional[float] = ..., temperature_c: _Optional[float] = ..., cordoned: bool = ..., reason: _Optional[str] = ..., errors: _Optional[_Iterable[_Union[DeviceError, _Mapping]]] = ..., ecc_uncorrected: _Optional[int] = ..., throttle: _Optional[str] = ..., draining: bool = ...) -> None: ...

class DeviceError(_message.Message):
    __slots__ = ("xid", "age_s", "meaning", "is_hardware")
    XID_FIELD_NUMBER: _ClassVar[int]
    AGE_S_FIELD_NUMBER: _ClassVar[int]
    MEANING_FIELD_NUMBER: _ClassVar[int]
    IS_HARDWARE_FIELD_NUMBER: _ClassVar[int]
    xid: int
    age_s: float
    meaning: str
    is_hardware: bool
    def __init__(self, xid: _Optional[int] = ..., age_s: _Optional[float] = ..., meaning: _Optional[str] = ..., is_hardware: bool = ...) -> None: ...

class ListTenantsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListTenantsReply(_message.Message):
    __slots__ = ("tenants",)
    TENANTS_FIELD_NUMBER: _ClassVar[int]
    tenants: _containers.RepeatedCompositeFieldContainer[TenantStatus]
    def __init__(self, tenants: _Optional[_Iterable[_Union[TenantStatus, _Mapping]]] = ...) -> None: ...

class TenantStatus(_message.Message):
    __slots__ = ("tenant", "quota", "sessions", "memory_bytes", "used_bytes", "kernel_s", "queued", "leases_given", "leases_refused")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    QUOTA_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    KERNEL_S_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    LEASES_GIVEN_FIELD_NUMBER: _ClassVar[int]
    LEASES_REFUSED_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    quota: SetQuotaRequest
    sessions: int
    memory_bytes: int
    used_bytes: int
    kernel_s: float
    queued: int
    leases_given: int
    leases_refused: int
    def __init__(self, tenant: _Optional[str] = ..., quota: _Optional[_Union[SetQuotaRequest, _Mapping]] = ..., sessions: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., used_bytes: _Optional[int] = ..., kernel_s: _Optional[float] = ..., queued: _Optional[int] = ..., leases_given: _Optional[int] = ..., leases_refused: _Optional[int] = ...) -> None: ...

class WatchEventsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Event(_message.Message):
    __slots__ = ("time", "kind", "subject", "tenant", "text")
    TIME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    time: float
    kind: str
    subject: str
    tenant: str
    text: str
    def __init__(self, time: _Optional[float] = ..., kind: _Optional[str] = ..., subject: _Optional[str] = ..., tenant: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class GetLogRequest(_message.Message):
    __slots__ = ("source", "lines", "follow", "session")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    source: str
    lines: int
    follow: bool
    session: str
    def __init__(self, source: _Optional[str] = ..., lines: _Optional[int] = ..., follow: bool = ..., session: _Optional[str] = ...) -> None: ...

class LogLine(_message.Message):
    __slots__ = ("source", "line")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    source: str
    line: str
    def __init__(self, source: _Optional[str] = ..., line: _Optional[str] = ...) -> None: ...

class CreateTokenRequest(_message.Message):
    __slots__ = ("role", "tenant", "valid_s", "note")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    VALID_S_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    role: str
    tenant: str
    valid_s: int
    note: str
    def __init__(self, role: _Optional[str] = ..., tenant: _Optional[str] = ..., valid_s: _Optional[int] = ..., note: _Optional[str] = ...) -> None: ...

class CreateTokenReply(_message.Message):
    __slots__ = ("token", "status")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    token: str
    status: TokenStatus
    def __init__(self, token: _Optional[str] = ..., status: _Optional[_Union[TokenStatus, _Mapping]] = ...) -> None: ...

class TokenStatus(_message.Message):
    __slots__ = ("id", "role", "tenant", "created", "expires", "revoked", "note", "last_used")
    ID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    REVOKED_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    LAST_USED_FIELD_NUMBER: _ClassVar[int]
    id: str
    role: str
    tenant: str
    created: float
    expires: float
    revoked: float
    note: str
    last_used: float
    def __init__(self, id: _Optional[str] = ..., role: _Optional[str] = ..., tenant: _Optional[str] = ..., created: _Optional[float] = ..., expires: _Optional[float] = ..., revoked: _Optional[float] = ..., note: _Optional[str] = ..., last_used: _Optional[float] = ...) -> None: ...

class ListTokensRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListTokensReply(_message.Message):
    __slots__ = ("tokens",)
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    tokens: _containers.RepeatedCompositeFieldContainer[TokenStatus]
    def __init__(self, tokens: _Optional[_Iterable[_Union[TokenStatus, _Mapping]]] = ...) -> None: ...

class RevokeTokenRequest(_message.Message):
    __slots__ = ("id", "reason")
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    id: str
    reason: str
    def __init__(self, id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RevokeTokenReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ShutdownRequest(_message.Message):
    __slots__ = ("reason", "deadline_ms")
    REASON_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    reason: str
    deadline_ms: int
    def __init__(self, reason: _Optional[str] = ..., deadline_ms: _Optional[int] = ...) -> None: ...

class ShutdownReply(_message.Message):
    __slots__ = ("sessions_ended",)
    SESSIONS_ENDED_FIELD_NUMBER: _ClassVar[int]
    sessions_ended: int
    def __init__(self, sessions_ended: _Optional[int] = ...) -> None: ...

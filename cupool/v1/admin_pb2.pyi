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
    __slots__ = ("tenant", "sessions", "memory_bytes", "kernel_s", "opens_per_s", "queue_places", "fields", "allow_offload", "lifetime_s", "park_grace_ms", "weight")
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
    def __init__(self, tenant: _Optional[str] = ..., sessions: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., kernel_s: _Optional[float] = ..., opens_per_s: _Optional[float] = ..., queue_places: _Optional[int] = ..., fields: _Optional[_Iterable[str]] = ..., allow_offload: bool = ..., lifetime_s: _Optional[int] = ..., park_grace_ms: _Optional[int] = ..., weight: _Optional[float] = ...) -> None: ...

class SetQuotaReply(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: TenantStatus
    def __init__(self, tenant: _Optional[_Union[TenantStatus, _Mapping]] = ...) -> None: ...

class GetPoolRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PoolStatus(_message.Message):
    __slots__ = ("version", "pool", "uptime_s", "nodes", "devices", "cordoned", "servers", "warm", "sessions", "parked", "queued", "leases_given", "leases_refused", "sessions_lost", "reclaimed_bytes", "insecure", "warnings", "draining", "queue_oldest_s", "restarts", "refusals", "lease_latency")
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
    def __init__(self, version: _Optional[str] = ..., pool: _Optional[str] = ..., uptime_s: _Optional[float] = ..., nodes: _Optional[int] = ..., devices: _Optional[int] = ..., cordoned: _Optional[int] = ..., servers: _Optional[int] = ..., warm: _Optional[int] = ..., sessions: _Optional[int] = ..., parked: _Optional[int] = ..., queued: _Optional[int] = ..., leases_given: _Optional[int] = ..., leases_refused: _Optional[int] = ..., sessions_lost: _Optional[int] = ..., reclaimed_bytes: _Optional[int] = ..., insecure: bool = ..., warnings: _Optional[_Iterable[str]] = ..., draining: bool = ..., queue_oldest_s: _Optional[float] = ..., restarts: _Optional[int] = ..., refusals: _Optional[_Iterable[_Union[RefusalCount, _Mapping]]] = ..., lease_latency: _Optional[_Union[LatencyHistogram, _Mapping]] = ...) -> None: ...

class RefusalCount(_message.Message):
    __slots__ = ("reason", "count")
    REASON_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    reason: str
    count: int
    def __init__(self, reason: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

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
    __slots__ = ("node", "host", "version", "connected", "seen_s", "devices", "servers", "sessions", "cpu_load", "memory_bytes", "memory_free_bytes", "reason")
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
    def __init__(self, node: _Optional[str] = ..., host: _Optional[str] = ..., version: _Optional[str] = ..., connected: bool = ..., seen_s: _Optional[float] = ..., devices: _Optional[_Iterable[str]] = ..., servers: _Optional[int] = ..., sessions: _Optional[int] = ..., cpu_load: _Optional[float] = ..., memory_bytes: _Optional[int] = ..., memory_free_bytes: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

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

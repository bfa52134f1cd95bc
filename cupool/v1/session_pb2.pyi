from cupool.v1 import value_pb2 as _value_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ClientFrame(_message.Message):
    __slots__ = ("hello", "batch", "credit", "probe", "goodbye", "checkpoint", "bundle")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    GOODBYE_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    hello: ClientHello
    batch: Batch
    credit: Credit
    probe: Probe
    goodbye: Goodbye
    checkpoint: CheckpointWish
    bundle: Bundle
    def __init__(self, hello: _Optional[_Union[ClientHello, _Mapping]] = ..., batch: _Optional[_Union[Batch, _Mapping]] = ..., credit: _Optional[_Union[Credit, _Mapping]] = ..., probe: _Optional[_Union[Probe, _Mapping]] = ..., goodbye: _Optional[_Union[Goodbye, _Mapping]] = ..., checkpoint: _Optional[_Union[CheckpointWish, _Mapping]] = ..., bundle: _Optional[_Union[Bundle, _Mapping]] = ...) -> None: ...

class Bundle(_message.Message):
    __slots__ = ("frames",)
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    frames: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, frames: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ServerFrame(_message.Message):
    __slots__ = ("ordinal", "executed_seq", "results", "failures", "hello", "probe", "moved", "going_away", "checkpointed")
    ORDINAL_FIELD_NUMBER: _ClassVar[int]
    EXECUTED_SEQ_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    MOVED_FIELD_NUMBER: _ClassVar[int]
    GOING_AWAY_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINTED_FIELD_NUMBER: _ClassVar[int]
    ordinal: int
    executed_seq: int
    results: _containers.RepeatedCompositeFieldContainer[Result]
    failures: _containers.RepeatedCompositeFieldContainer[Failure]
    hello: ServerHello
    probe: Probe
    moved: Moved
    going_away: GoingAway
    checkpointed: Checkpointed
    def __init__(self, ordinal: _Optional[int] = ..., executed_seq: _Optional[int] = ..., results: _Optional[_Iterable[_Union[Result, _Mapping]]] = ..., failures: _Optional[_Iterable[_Union[Failure, _Mapping]]] = ..., hello: _Optional[_Union[ServerHello, _Mapping]] = ..., probe: _Optional[_Union[Probe, _Mapping]] = ..., moved: _Optional[_Union[Moved, _Mapping]] = ..., going_away: _Optional[_Union[GoingAway, _Mapping]] = ..., checkpointed: _Optional[_Union[Checkpointed, _Mapping]] = ...) -> None: ...

class ClientHello(_message.Message):
    __slots__ = ("versions", "client", "epoch", "nonce_previous", "nonce_next", "op_table_digest", "limits", "received")
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    NONCE_PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    NONCE_NEXT_FIELD_NUMBER: _ClassVar[int]
    OP_TABLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedScalarFieldContainer[int]
    client: str
    epoch: int
    nonce_previous: bytes
    nonce_next: bytes
    op_table_digest: bytes
    limits: Limits
    received: int
    def __init__(self, versions: _Optional[_Iterable[int]] = ..., client: _Optional[str] = ..., epoch: _Optional[int] = ..., nonce_previous: _Optional[bytes] = ..., nonce_next: _Optional[bytes] = ..., op_table_digest: _Optional[bytes] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., received: _Optional[int] = ...) -> None: ...

class ServerHello(_message.Message):
    __slots__ = ("version", "server", "epoch", "resumed", "executed_seq", "executed_position", "op_table_digest", "row_hashes", "limits", "device", "lane", "checkpoints", "features", "ordinal")
    class RowHashesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: bytes
        def __init__(self, key: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    RESUMED_FIELD_NUMBER: _ClassVar[int]
    EXECUTED_SEQ_FIELD_NUMBER: _ClassVar[int]
    EXECUTED_POSITION_FIELD_NUMBER: _ClassVar[int]
    OP_TABLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ROW_HASHES_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    ORDINAL_FIELD_NUMBER: _ClassVar[int]
    version: int
    server: str
    epoch: int
    resumed: bool
    executed_seq: int
    executed_position: int
    op_table_digest: bytes
    row_hashes: _containers.ScalarMap[str, bytes]
    limits: Limits
    device: DeviceInfo
    lane: str
    checkpoints: _containers.RepeatedScalarFieldContainer[str]
    features: _containers.RepeatedScalarFieldContainer[str]
    ordinal: int
    def __init__(self, version: _Optional[int] = ..., server: _Optional[str] = ..., epoch: _Optional[int] = ..., resumed: bool = ..., executed_seq: _Optional[int] = ..., executed_position: _Optional[int] = ..., op_table_digest: _Optional[bytes] = ..., row_hashes: _Optional[_Mapping[str, bytes]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., device: _Optional[_Union[DeviceInfo, _Mapping]] = ..., lane: _Optional[str] = ..., checkpoints: _Optional[_Iterable[str]] = ..., features: _Optional[_Iterable[str]] = ..., ordinal: _Optional[int] = ...) -> None: ...

class CheckpointWish(_message.Message):
    __slots__ = ("id", "where", "limit_bytes", "transfer")
    ID_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    id: int
    where: str
    limit_bytes: int
    transfer: int
    def __init__(self, id: _Optional[int] = ..., where: _Optional[str] = ..., limit_bytes: _Optional[int] = ..., transfer: _Optional[int] = ...) -> None: ...

class Checkpointed(_message.Message):
    __slots__ = ("id", "executed_seq", "ordinal", "nbytes", "error", "is_final")
    ID_FIELD_NUMBER: _ClassVar[int]
    EXECUTED_SEQ_FIELD_NUMBER: _ClassVar[int]
    ORDINAL_FIELD_NUMBER: _ClassVar[int]
    NBYTES_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    IS_FINAL_FIELD_NUMBER: _ClassVar[int]
    id: int
    executed_seq: int
    ordinal: int
    nbytes: int
    error: str
    is_final: bool
    def __init__(self, id: _Optional[int] = ..., executed_seq: _Optional[int] = ..., ordinal: _Optional[int] = ..., nbytes: _Optional[int] = ..., error: _Optional[str] = ..., is_final: bool = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("frame_bytes", "batch_commands", "inflight_bytes", "inflight_commands", "forms", "inline_bytes", "chunk_bytes", "handles")
    FRAME_BYTES_FIELD_NUMBER: _ClassVar[int]
    BATCH_COMMANDS_FIELD_NUMBER: _ClassVar[int]
    INFLIGHT_BYTES_FIELD_NUMBER: _ClassVar[int]
    INFLIGHT_COMMANDS_FIELD_NUMBER: _ClassVar[int]
    FORMS_FIELD_NUMBER: _ClassVar[int]
    INLINE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CHUNK_BYTES_FIELD_NUMBER: _ClassVar[int]
    HANDLES_FIELD_NUMBER: _ClassVar[int]
    frame_bytes: int
    batch_commands: int
    inflight_bytes: int
    inflight_commands: int
    forms: int
    inline_bytes: int
    chunk_bytes: int
    handles: int
    def __init__(self, frame_bytes: _Optional[int] = ..., batch_commands: _Optional[int] = ..., inflight_bytes: _Optional[int] = ..., inflight_commands: _Optional[int] = ..., forms: _Optional[int] = ..., inline_bytes: _Optional[int] = ..., chunk_bytes: _Optional[int] = ..., handles: _Optional[int] = ...) -> None: ...

class Batch(_message.Message):
    __slots__ = ("seq", "position", "count", "forms", "commands", "values", "received", "loops")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    FORMS_FIELD_NUMBER: _ClassVar[int]
    COMMANDS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    LOOPS_FIELD_NUMBER: _ClassVar[int]
    seq: int
    position: int
    count: int
    forms: _containers.RepeatedCompositeFieldContainer[Form]
    commands: bytes
    values: _containers.RepeatedCompositeFieldContainer[_value_pb2.Value]
    received: int
    loops: _containers.RepeatedCompositeFieldContainer[Loop]
    def __init__(self, seq: _Optional[int] = ..., position: _Optional[int] = ..., count: _Optional[int] = ..., forms: _Optional[_Iterable[_Union[Form, _Mapping]]] = ..., commands: _Optional[bytes] = ..., values: _Optional[_Iterable[_Union[_value_pb2.Value, _Mapping]]] = ..., received: _Optional[int] = ..., loops: _Optional[_Iterable[_Union[Loop, _Mapping]]] = ...) -> None: ...

class Loop(_message.Message):
    __slots__ = ("at", "rounds", "steps")
    AT_FIELD_NUMBER: _ClassVar[int]
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    at: int
    rounds: int
    steps: bytes
    def __init__(self, at: _Optional[int] = ..., rounds: _Optional[int] = ..., steps: _Optional[bytes] = ...) -> None: ...

class Credit(_message.Message):
    __slots__ = ("received",)
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    received: int
    def __init__(self, received: _Optional[int] = ...) -> None: ...

class Probe(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: int
    def __init__(self, id: _Optional[int] = ...) -> None: ...

class Goodbye(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class Form(_message.Message):
    __slots__ = ("id", "op", "args", "kwargs", "results")
    ID_FIELD_NUMBER: _ClassVar[int]
    OP_FIELD_NUMBER: _ClassVar[int]
    ARGS_FIELD_NUMBER: _ClassVar[int]
    KWARGS_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    id: int
    op: str
    args: _containers.RepeatedCompositeFieldContainer[_value_pb2.Value]
    kwargs: _containers.RepeatedCompositeFieldContainer[_value_pb2.NamedValue]
    results: _containers.RepeatedCompositeFieldContainer[ResultSpec]
    def __init__(self, id: _Optional[int] = ..., op: _Optional[str] = ..., args: _Optional[_Iterable[_Union[_value_pb2.Value, _Mapping]]] = ..., kwargs: _Optional[_Iterable[_Union[_value_pb2.NamedValue, _Mapping]]] = ..., results: _Optional[_Iterable[_Union[ResultSpec, _Mapping]]] = ...) -> None: ...

class ResultSpec(_message.Message):
    __slots__ = ("reply", "unknown", "object", "dtype", "shape", "strides")
    REPLY_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    STRIDES_FIELD_NUMBER: _ClassVar[int]
    reply: bool
    unknown: bool
    object: bool
    dtype: _value_pb2.Dtype
    shape: _containers.RepeatedScalarFieldContainer[int]
    strides: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, reply: bool = ..., unknown: bool = ..., object: bool = ..., dtype: _Optional[_Union[_value_pb2.Dtype, _Mapping]] = ..., shape: _Optional[_Iterable[int]] = ..., strides: _Optional[_Iterable[int]] = ...) -> None: ...

class Result(_message.Message):
    __slots__ = ("id", "value", "spec", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: int
    value: _value_pb2.Value
    spec: ResultSpec
    error: Error
    def __init__(self, id: _Optional[int] = ..., value: _Optional[_Union[_value_pb2.Value, _Mapping]] = ..., spec: _Optional[_Union[ResultSpec, _Mapping]] = ..., error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("tag", "op", "handles", "error", "position", "kernel")
    TAG_FIELD_NUMBER: _ClassVar[int]
    OP_FIELD_NUMBER: _ClassVar[int]
    HANDLES_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    KERNEL_FIELD_NUMBER: _ClassVar[int]
    tag: int
    op: str
    handles: _containers.RepeatedScalarFieldContainer[int]
    error: Error
    position: int
    kernel: str
    def __init__(self, tag: _Optional[int] = ..., op: _Optional[str] = ..., handles: _Optional[_Iterable[int]] = ..., error: _Optional[_Union[Error, _Mapping]] = ..., position: _Optional[int] = ..., kernel: _Optional[str] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ("type", "message", "fields", "detail")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    type: str
    message: str
    fields: _containers.RepeatedCompositeFieldContainer[_value_pb2.NamedValue]
    detail: str
    def __init__(self, type: _Optional[str] = ..., message: _Optional[str] = ..., fields: _Optional[_Iterable[_Union[_value_pb2.NamedValue, _Mapping]]] = ..., detail: _Optional[str] = ...) -> None: ...

class Moved(_message.Message):
    __slots__ = ("endpoint", "epoch", "executed_seq", "session_token", "prepare", "tls_name")
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    EXECUTED_SEQ_FIELD_NUMBER: _ClassVar[int]
    SESSION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PREPARE_FIELD_NUMBER: _ClassVar[int]
    TLS_NAME_FIELD_NUMBER: _ClassVar[int]
    endpoint: str
    epoch: int
    executed_seq: int
    session_token: str
    prepare: bool
    tls_name: str
    def __init__(self, endpoint: _Optional[str] = ..., epoch: _Optional[int] = ..., executed_seq: _Optional[int] = ..., session_token: _Optional[str] = ..., prepare: bool = ..., tls_name: _Optional[str] = ...) -> None: ...

class GoingAway(_message.Message):
    __slots__ = ("reason", "grace_ms")
    REASON_FIELD_NUMBER: _ClassVar[int]
    GRACE_MS_FIELD_NUMBER: _ClassVar[int]
    reason: str
    grace_ms: int
    def __init__(self, reason: _Optional[str] = ..., grace_ms: _Optional[int] = ...) -> None: ...

class PutChunk(_message.Message):
    __slots__ = ("transfer", "total_bytes", "offset", "data", "epoch", "after_seq", "unpacked_bytes")
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQ_FIELD_NUMBER: _ClassVar[int]
    UNPACKED_BYTES_FIELD_NUMBER: _ClassVar[int]
    transfer: int
    total_bytes: int
    offset: int
    data: bytes
    epoch: int
    after_seq: int
    unpacked_bytes: int
    def __init__(self, transfer: _Optional[int] = ..., total_bytes: _Optional[int] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ..., epoch: _Optional[int] = ..., after_seq: _Optional[int] = ..., unpacked_bytes: _Optional[int] = ...) -> None: ...

class PutAck(_message.Message):
    __slots__ = ("transfer", "received_bytes")
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_BYTES_FIELD_NUMBER: _ClassVar[int]
    transfer: int
    received_bytes: int
    def __init__(self, transfer: _Optional[int] = ..., received_bytes: _Optional[int] = ...) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("transfer", "offset", "epoch", "compression")
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    COMPRESSION_FIELD_NUMBER: _ClassVar[int]
    transfer: int
    offset: int
    epoch: int
    compression: str
    def __init__(self, transfer: _Optional[int] = ..., offset: _Optional[int] = ..., epoch: _Optional[int] = ..., compression: _Optional[str] = ...) -> None: ...

class RestoreReply(_message.Message):
    __slots__ = ("executed_seq",)
    EXECUTED_SEQ_FIELD_NUMBER: _ClassVar[int]
    executed_seq: int
    def __init__(self, executed_seq: _Optional[int] = ...) -> None: ...

class GetChunk(_message.Message):
    __slots__ = ("offset", "data", "total_bytes", "unpacked_bytes")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    UNPACKED_BYTES_FIELD_NUMBER: _ClassVar[int]
    offset: int
    data: bytes
    total_bytes: int
    unpacked_bytes: int
    def __init__(self, offset: _Optional[int] = ..., data: _Optional[bytes] = ..., total_bytes: _Optional[int] = ..., unpacked_bytes: _Optional[int] = ...) -> None: ...

class DeviceInfo(_message.Message):
    __slots__ = ("kind", "name", "uuid", "total_bytes", "limit_bytes", "compute_capability", "driver_version", "runtime_version", "properties", "attributes", "kernels", "arena_base", "arena_bytes", "fingerprint")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    UUID_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    DRIVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_VERSION_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    KERNELS_FIELD_NUMBER: _ClassVar[int]
    ARENA_BASE_FIELD_NUMBER: _ClassVar[int]
    ARENA_BYTES_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    uuid: str
    total_bytes: int
    limit_bytes: int
    compute_capability: str
    driver_version: int
    runtime_version: int
    properties: _containers.RepeatedCompositeFieldContainer[_value_pb2.NamedValue]
    attributes: _containers.RepeatedCompositeFieldContainer[_value_pb2.NamedValue]
    kernels: str
    arena_base: int
    arena_bytes: int
    fingerprint: str
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., uuid: _Optional[str] = ..., total_bytes: _Optional[int] = ..., limit_bytes: _Optional[int] = ..., compute_capability: _Optional[str] = ..., driver_version: _Optional[int] = ..., runtime_version: _Optional[int] = ..., properties: _Optional[_Iterable[_Union[_value_pb2.NamedValue, _Mapping]]] = ..., attributes: _Optional[_Iterable[_Union[_value_pb2.NamedValue, _Mapping]]] = ..., kernels: _Optional[str] = ..., arena_base: _Optional[int] = ..., arena_bytes: _Optional[int] = ..., fingerprint: _Optional[str] = ...) -> None: ...

from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MoveControl(_message.Message):
    __slots__ = ("hello", "ready", "ack", "failed")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    hello: MoveHello
    ready: MoveReady
    ack: MoveAck
    failed: MoveFailed
    def __init__(self, hello: _Optional[_Union[MoveHello, _Mapping]] = ..., ready: _Optional[_Union[MoveReady, _Mapping]] = ..., ack: _Optional[_Union[MoveAck, _Mapping]] = ..., failed: _Optional[_Union[MoveFailed, _Mapping]] = ...) -> None: ...

class MoveFrame(_message.Message):
    __slots__ = ("plan", "round", "bytes", "stop", "document", "released", "failed")
    PLAN_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    RELEASED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    plan: MovePlan
    round: MoveRound
    bytes: MoveBytes
    stop: MoveStop
    document: MoveDocument
    released: MoveReleased
    failed: MoveFailed
    def __init__(self, plan: _Optional[_Union[MovePlan, _Mapping]] = ..., round: _Optional[_Union[MoveRound, _Mapping]] = ..., bytes: _Optional[_Union[MoveBytes, _Mapping]] = ..., stop: _Optional[_Union[MoveStop, _Mapping]] = ..., document: _Optional[_Union[MoveDocument, _Mapping]] = ..., released: _Optional[_Union[MoveReleased, _Mapping]] = ..., failed: _Optional[_Union[MoveFailed, _Mapping]] = ...) -> None: ...

class MoveHello(_message.Message):
    __slots__ = ("move", "epoch", "fingerprint", "arena_base", "arena_bytes", "op_table_digest", "boot_id", "document_version", "free_bytes")
    MOVE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    ARENA_BASE_FIELD_NUMBER: _ClassVar[int]
    ARENA_BYTES_FIELD_NUMBER: _ClassVar[int]
    OP_TABLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    move: str
    epoch: int
    fingerprint: str
    arena_base: int
    arena_bytes: int
    op_table_digest: bytes
    boot_id: str
    document_version: int
    free_bytes: int
    def __init__(self, move: _Optional[str] = ..., epoch: _Optional[int] = ..., fingerprint: _Optional[str] = ..., arena_base: _Optional[int] = ..., arena_bytes: _Optional[int] = ..., op_table_digest: _Optional[bytes] = ..., boot_id: _Optional[str] = ..., document_version: _Optional[int] = ..., free_bytes: _Optional[int] = ...) -> None: ...

class MovePlan(_message.Message):
    __slots__ = ("lane", "total_bytes", "document_version")
    LANE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    lane: str
    total_bytes: int
    document_version: int
    def __init__(self, lane: _Optional[str] = ..., total_bytes: _Optional[int] = ..., document_version: _Optional[int] = ...) -> None: ...

class MoveRound(_message.Message):
    __slots__ = ("round", "buffers", "gone", "dirty_bytes", "is_announced", "is_sent")
    ROUND_FIELD_NUMBER: _ClassVar[int]
    BUFFERS_FIELD_NUMBER: _ClassVar[int]
    GONE_FIELD_NUMBER: _ClassVar[int]
    DIRTY_BYTES_FIELD_NUMBER: _ClassVar[int]
    IS_ANNOUNCED_FIELD_NUMBER: _ClassVar[int]
    IS_SENT_FIELD_NUMBER: _ClassVar[int]
    round: int
    buffers: _containers.RepeatedCompositeFieldContainer[MoveBuffer]
    gone: _containers.RepeatedScalarFieldContainer[int]
    dirty_bytes: int
    is_announced: bool
    is_sent: bool
    def __init__(self, round: _Optional[int] = ..., buffers: _Optional[_Iterable[_Union[MoveBuffer, _Mapping]]] = ..., gone: _Optional[_Iterable[int]] = ..., dirty_bytes: _Optional[int] = ..., is_announced: bool = ..., is_sent: bool = ...) -> None: ...

class MoveBuffer(_message.Message):
    __slots__ = ("buffer", "nbytes", "address")
    BUFFER_FIELD_NUMBER: _ClassVar[int]
    NBYTES_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    buffer: int
    nbytes: int
    address: int
    def __init__(self, buffer: _Optional[int] = ..., nbytes: _Optional[int] = ..., address: _Optional[int] = ...) -> None: ...

class MoveBytes(_message.Message):
    __slots__ = ("count", "data")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    count: int
    data: bytes
    def __init__(self, count: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class MoveAck(_message.Message):
    __slots__ = ("received_bytes", "lane", "round")
    RECEIVED_BYTES_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    received_bytes: int
    lane: bool
    round: int
    def __init__(self, received_bytes: _Optional[int] = ..., lane: bool = ..., round: _Optional[int] = ...) -> None: ...

class MoveStop(_message.Message):
    __slots__ = ("executed_seq",)
    EXECUTED_SEQ_FIELD_NUMBER: _ClassVar[int]
    executed_seq: int
    def __init__(self, executed_seq: _Optional[int] = ...) -> None: ...

class MoveDocument(_message.Message):
    __slots__ = ("data", "last", "hash")
    DATA_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    last: bool
    hash: bytes
    def __init__(self, data: _Optional[bytes] = ..., last: bool = ..., hash: _Optional[bytes] = ...) -> None: ...

class MoveReady(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class MoveReleased(_message.Message):
    __slots__ = ("executed_seq",)
    EXECUTED_SEQ_FIELD_NUMBER: _ClassVar[int]
    executed_seq: int
    def __init__(self, executed_seq: _Optional[int] = ...) -> None: ...

class MoveFailed(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

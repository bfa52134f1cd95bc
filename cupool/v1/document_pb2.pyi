from cupool.v1 import session_pb2 as _session_pb2
from cupool.v1 import value_pb2 as _value_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SessionDocument(_message.Message):
    __slots__ = ("version", "version_name", "origin", "link", "account", "arena", "layouts", "buffers", "table", "errors", "objects", "forms", "recorders", "open_captures", "next_own_handle", "mempools", "last_mempool", "mempool_flags", "streams", "place", "now_ns", "boot_id", "transfers", "modules", "printed", "device")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    VERSION_NAME_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    LINK_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    ARENA_FIELD_NUMBER: _ClassVar[int]
    LAYOUTS_FIELD_NUMBER: _ClassVar[int]
    BUFFERS_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    FORMS_FIELD_NUMBER: _ClassVar[int]
    RECORDERS_FIELD_NUMBER: _ClassVar[int]
    OPEN_CAPTURES_FIELD_NUMBER: _ClassVar[int]
    NEXT_OWN_HANDLE_FIELD_NUMBER: _ClassVar[int]
    MEMPOOLS_FIELD_NUMBER: _ClassVar[int]
    LAST_MEMPOOL_FIELD_NUMBER: _ClassVar[int]
    MEMPOOL_FLAGS_FIELD_NUMBER: _ClassVar[int]
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    NOW_NS_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSFERS_FIELD_NUMBER: _ClassVar[int]
    MODULES_FIELD_NUMBER: _ClassVar[int]
    PRINTED_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    version: int
    version_name: str
    origin: DocumentOrigin
    link: DocumentLink
    account: DocumentAccount
    arena: DocumentArena
    layouts: _containers.RepeatedCompositeFieldContainer[DocumentLayout]
    buffers: DocumentBuffers
    table: DocumentTable
    errors: _containers.RepeatedCompositeFieldContainer[_session_pb2.Error]
    objects: _containers.RepeatedCompositeFieldContainer[DocumentObject]
    forms: _containers.RepeatedScalarFieldContainer[bytes]
    recorders: _containers.RepeatedCompositeFieldContainer[DocumentRecorder]
    open_captures: _containers.RepeatedCompositeFieldContainer[DocumentOpenCapture]
    next_own_handle: int
    mempools: _containers.RepeatedCompositeFieldContainer[DocumentMempool]
    last_mempool: int
    mempool_flags: _containers.RepeatedScalarFieldContainer[int]
    streams: _containers.RepeatedScalarFieldContainer[int]
    place: int
    now_ns: int
    boot_id: str
    transfers: DocumentTransfers
    modules: _containers.RepeatedCompositeFieldContainer[DocumentModule]
    printed: bytes
    device: _value_pb2.Value
    def __init__(self, version: _Optional[int] = ..., version_name: _Optional[str] = ..., origin: _Optional[_Union[DocumentOrigin, _Mapping]] = ..., link: _Optional[_Union[DocumentLink, _Mapping]] = ..., account: _Optional[_Union[DocumentAccount, _Mapping]] = ..., arena: _Optional[_Union[DocumentArena, _Mapping]] = ..., layouts: _Optional[_Iterable[_Union[DocumentLayout, _Mapping]]] = ..., buffers: _Optional[_Union[DocumentBuffers, _Mapping]] = ..., table: _Optional[_Union[DocumentTable, _Mapping]] = ..., errors: _Optional[_Iterable[_Union[_session_pb2.Error, _Mapping]]] = ..., objects: _Optional[_Iterable[_Union[DocumentObject, _Mapping]]] = ..., forms: _Optional[_Iterable[bytes]] = ..., recorders: _Optional[_Iterable[_Union[DocumentRecorder, _Mapping]]] = ..., open_captures: _Optional[_Iterable[_Union[DocumentOpenCapture, _Mapping]]] = ..., next_own_handle: _Optional[int] = ..., mempools: _Optional[_Iterable[_Union[DocumentMempool, _Mapping]]] = ..., last_mempool: _Optional[int] = ..., mempool_flags: _Optional[_Iterable[int]] = ..., streams: _Optional[_Iterable[int]] = ..., place: _Optional[int] = ..., now_ns: _Optional[int] = ..., boot_id: _Optional[str] = ..., transfers: _Optional[_Union[DocumentTransfers, _Mapping]] = ..., modules: _Optional[_Iterable[_Union[DocumentModule, _Mapping]]] = ..., printed: _Optional[bytes] = ..., device: _Optional[_Union[_value_pb2.Value, _Mapping]] = ...) -> None: ...

class DocumentOrigin(_message.Message):
    __slots__ = ("kind", "fingerprint", "op_table_digest", "session")
    KIND_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    OP_TABLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    kind: str
    fingerprint: str
    op_table_digest: bytes
    session: str
    def __init__(self, kind: _Optional[str] = ..., fingerprint: _Optional[str] = ..., op_table_digest: _Optional[bytes] = ..., session: _Optional[str] = ...) -> None: ...

class DocumentLink(_message.Message):
    __slots__ = ("epoch", "nonce", "attached_before", "client_limits", "ordinal", "received", "kept", "seen_first", "seen", "executed_seq", "executed_commands", "failed_commands")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    ATTACHED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    CLIENT_LIMITS_FIELD_NUMBER: _ClassVar[int]
    ORDINAL_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIRST_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    EXECUTED_SEQ_FIELD_NUMBER: _ClassVar[int]
    EXECUTED_COMMANDS_FIELD_NUMBER: _ClassVar[int]
    FAILED_COMMANDS_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    nonce: bytes
    attached_before: bool
    client_limits: _session_pb2.Limits
    ordinal: int
    received: int
    kept: _containers.RepeatedScalarFieldContainer[bytes]
    seen_first: int
    seen: bytes
    executed_seq: int
    executed_commands: int
    failed_commands: int
    def __init__(self, epoch: _Optional[int] = ..., nonce: _Optional[bytes] = ..., attached_before: bool = ..., client_limits: _Optional[_Union[_session_pb2.Limits, _Mapping]] = ..., ordinal: _Optional[int] = ..., received: _Optional[int] = ..., kept: _Optional[_Iterable[bytes]] = ..., seen_first: _Optional[int] = ..., seen: _Optional[bytes] = ..., executed_seq: _Optional[int] = ..., executed_commands: _Optional[int] = ..., failed_commands: _Optional[int] = ...) -> None: ...

class DocumentAccount(_message.Message):
    __slots__ = ("used", "peak", "total", "raw", "asked_limit", "modules", "kernel_s")
    USED_FIELD_NUMBER: _ClassVar[int]
    PEAK_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    ASKED_LIMIT_FIELD_NUMBER: _ClassVar[int]
    MODULES_FIELD_NUMBER: _ClassVar[int]
    KERNEL_S_FIELD_NUMBER: _ClassVar[int]
    used: int
    peak: int
    total: int
    raw: int
    asked_limit: int
    modules: int
    kernel_s: float
    def __init__(self, used: _Optional[int] = ..., peak: _Optional[int] = ..., total: _Optional[int] = ..., raw: _Optional[int] = ..., asked_limit: _Optional[int] = ..., modules: _Optional[int] = ..., kernel_s: _Optional[float] = ...) -> None: ...

class DocumentArena(_message.Message):
    __slots__ = ("base", "nbytes", "top", "open_end", "free", "free_bytes", "held", "held_bytes")
    BASE_FIELD_NUMBER: _ClassVar[int]
    NBYTES_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    OPEN_END_FIELD_NUMBER: _ClassVar[int]
    FREE_FIELD_NUMBER: _ClassVar[int]
    FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    HELD_BYTES_FIELD_NUMBER: _ClassVar[int]
    base: int
    nbytes: int
    top: int
    open_end: int
    free: _containers.RepeatedScalarFieldContainer[int]
    free_bytes: _containers.RepeatedScalarFieldContainer[int]
    held: _containers.RepeatedScalarFieldContainer[int]
    held_bytes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, base: _Optional[int] = ..., nbytes: _Optional[int] = ..., top: _Optional[int] = ..., open_end: _Optional[int] = ..., free: _Optional[_Iterable[int]] = ..., free_bytes: _Optional[_Iterable[int]] = ..., held: _Optional[_Iterable[int]] = ..., held_bytes: _Optional[_Iterable[int]] = ...) -> None: ...

class DocumentLayout(_message.Message):
    __slots__ = ("dtype", "shape", "strides")
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    STRIDES_FIELD_NUMBER: _ClassVar[int]
    dtype: _value_pb2.Dtype
    shape: _containers.RepeatedScalarFieldContainer[int]
    strides: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, dtype: _Optional[_Union[_value_pb2.Dtype, _Mapping]] = ..., shape: _Optional[_Iterable[int]] = ..., strides: _Optional[_Iterable[int]] = ...) -> None: ...

class DocumentBuffers(_message.Message):
    __slots__ = ("id", "nbytes", "address", "layout", "records", "digest")
    ID_FIELD_NUMBER: _ClassVar[int]
    NBYTES_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    id: _containers.RepeatedScalarFieldContainer[int]
    nbytes: _containers.RepeatedScalarFieldContainer[int]
    address: _containers.RepeatedScalarFieldContainer[int]
    layout: _containers.RepeatedScalarFieldContainer[int]
    records: _containers.RepeatedCompositeFieldContainer[DocumentRecord]
    digest: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, id: _Optional[_Iterable[int]] = ..., nbytes: _Optional[_Iterable[int]] = ..., address: _Optional[_Iterable[int]] = ..., layout: _Optional[_Iterable[int]] = ..., records: _Optional[_Iterable[_Union[DocumentRecord, _Mapping]]] = ..., digest: _Optional[_Iterable[bytes]] = ...) -> None: ...

class DocumentRecord(_message.Message):
    __slots__ = ("buffer", "charged", "error", "source", "mempool", "raw_bytes")
    BUFFER_FIELD_NUMBER: _ClassVar[int]
    CHARGED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    MEMPOOL_FIELD_NUMBER: _ClassVar[int]
    RAW_BYTES_FIELD_NUMBER: _ClassVar[int]
    buffer: int
    charged: int
    error: int
    source: int
    mempool: int
    raw_bytes: int
    def __init__(self, buffer: _Optional[int] = ..., charged: _Optional[int] = ..., error: _Optional[int] = ..., source: _Optional[int] = ..., mempool: _Optional[int] = ..., raw_bytes: _Optional[int] = ...) -> None: ...

class DocumentTable(_message.Message):
    __slots__ = ("handle", "kind", "number", "buffer", "offset")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    BUFFER_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    handle: _containers.RepeatedScalarFieldContainer[int]
    kind: _containers.RepeatedScalarFieldContainer[int]
    number: _containers.RepeatedScalarFieldContainer[int]
    buffer: _containers.RepeatedScalarFieldContainer[int]
    offset: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, handle: _Optional[_Iterable[int]] = ..., kind: _Optional[_Iterable[int]] = ..., number: _Optional[_Iterable[int]] = ..., buffer: _Optional[_Iterable[int]] = ..., offset: _Optional[_Iterable[int]] = ...) -> None: ...

class DocumentObject(_message.Message):
    __slots__ = ("kind", "state", "recorder")
    KIND_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    RECORDER_FIELD_NUMBER: _ClassVar[int]
    kind: str
    state: _value_pb2.Value
    recorder: int
    def __init__(self, kind: _Optional[str] = ..., state: _Optional[_Union[_value_pb2.Value, _Mapping]] = ..., recorder: _Optional[int] = ...) -> None: ...

class DocumentRecorder(_message.Message):
    __slots__ = ("nodes", "owned", "client", "own")
    NODES_FIELD_NUMBER: _ClassVar[int]
    OWNED_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    OWN_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[DocumentNode]
    owned: _containers.RepeatedScalarFieldContainer[int]
    client: _containers.RepeatedScalarFieldContainer[int]
    own: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, nodes: _Optional[_Iterable[_Union[DocumentNode, _Mapping]]] = ..., owned: _Optional[_Iterable[int]] = ..., client: _Optional[_Iterable[int]] = ..., own: _Optional[_Iterable[int]] = ...) -> None: ...

class DocumentNode(_message.Message):
    __slots__ = ("form", "words", "values", "targets", "written")
    FORM_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_FIELD_NUMBER: _ClassVar[int]
    form: bytes
    words: _containers.RepeatedScalarFieldContainer[int]
    values: _containers.RepeatedCompositeFieldContainer[_value_pb2.Value]
    targets: _containers.RepeatedScalarFieldContainer[int]
    written: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, form: _Optional[bytes] = ..., words: _Optional[_Iterable[int]] = ..., values: _Optional[_Iterable[_Union[_value_pb2.Value, _Mapping]]] = ..., targets: _Optional[_Iterable[int]] = ..., written: _Optional[_Iterable[int]] = ...) -> None: ...

class DocumentOpenCapture(_message.Message):
    __slots__ = ("capture", "recorder", "streams")
    CAPTURE_FIELD_NUMBER: _ClassVar[int]
    RECORDER_FIELD_NUMBER: _ClassVar[int]
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    capture: int
    recorder: int
    streams: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, capture: _Optional[int] = ..., recorder: _Optional[int] = ..., streams: _Optional[_Iterable[int]] = ...) -> None: ...

class DocumentMempool(_message.Message):
    __slots__ = ("number", "used", "used_high", "reserved", "reserved_high", "threshold")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    USED_HIGH_FIELD_NUMBER: _ClassVar[int]
    RESERVED_FIELD_NUMBER: _ClassVar[int]
    RESERVED_HIGH_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    number: int
    used: int
    used_high: int
    reserved: int
    reserved_high: int
    threshold: int
    def __init__(self, number: _Optional[int] = ..., used: _Optional[int] = ..., used_high: _Optional[int] = ..., reserved: _Optional[int] = ..., reserved_high: _Optional[int] = ..., threshold: _Optional[int] = ...) -> None: ...

class DocumentTransfers(_message.Message):
    __slots__ = ("inbound", "finished", "outbound")
    INBOUND_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    OUTBOUND_FIELD_NUMBER: _ClassVar[int]
    inbound: _containers.RepeatedCompositeFieldContainer[DocumentInbound]
    finished: _containers.RepeatedCompositeFieldContainer[DocumentInbound]
    outbound: _containers.RepeatedCompositeFieldContainer[DocumentOutbound]
    def __init__(self, inbound: _Optional[_Iterable[_Union[DocumentInbound, _Mapping]]] = ..., finished: _Optional[_Iterable[_Union[DocumentInbound, _Mapping]]] = ..., outbound: _Optional[_Iterable[_Union[DocumentOutbound, _Mapping]]] = ...) -> None: ...

class DocumentInbound(_message.Message):
    __slots__ = ("transfer", "total", "received", "buffer", "error")
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    BUFFER_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    transfer: int
    total: int
    received: int
    buffer: int
    error: int
    def __init__(self, transfer: _Optional[int] = ..., total: _Optional[int] = ..., received: _Optional[int] = ..., buffer: _Optional[int] = ..., error: _Optional[int] = ...) -> None: ...

class DocumentOutbound(_message.Message):
    __slots__ = ("transfer", "buffer", "offset", "nbytes", "pinned", "error", "charged")
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    BUFFER_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    NBYTES_FIELD_NUMBER: _ClassVar[int]
    PINNED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CHARGED_FIELD_NUMBER: _ClassVar[int]
    transfer: int
    buffer: int
    offset: int
    nbytes: int
    pinned: bool
    error: int
    charged: bool
    def __init__(self, transfer: _Optional[int] = ..., buffer: _Optional[int] = ..., offset: _Optional[int] = ..., nbytes: _Optional[int] = ..., pinned: bool = ..., error: _Optional[int] = ..., charged: bool = ...) -> None: ...

class DocumentModule(_message.Message):
    __slots__ = ("source", "options", "name", "expressions", "headers", "backend", "object_hash", "data_bytes", "changed", "data", "arena_address", "arena_block", "arena_block_bytes")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPRESSIONS_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    OBJECT_HASH_FIELD_NUMBER: _ClassVar[int]
    DATA_BYTES_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    ARENA_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ARENA_BLOCK_FIELD_NUMBER: _ClassVar[int]
    ARENA_BLOCK_BYTES_FIELD_NUMBER: _ClassVar[int]
    source: str
    options: _containers.RepeatedScalarFieldContainer[str]
    name: str
    expressions: _containers.RepeatedScalarFieldContainer[str]
    headers: _containers.RepeatedCompositeFieldContainer[_value_pb2.NamedValue]
    backend: str
    object_hash: bytes
    data_bytes: int
    changed: _containers.RepeatedScalarFieldContainer[int]
    data: _containers.RepeatedScalarFieldContainer[bytes]
    arena_address: int
    arena_block: int
    arena_block_bytes: int
    def __init__(self, source: _Optional[str] = ..., options: _Optional[_Iterable[str]] = ..., name: _Optional[str] = ..., expressions: _Optional[_Iterable[str]] = ..., headers: _Optional[_Iterable[_Union[_value_pb2.NamedValue, _Mapping]]] = ..., backend: _Optional[str] = ..., object_hash: _Optional[bytes] = ..., data_bytes: _Optional[int] = ..., changed: _Optional[_Iterable[int]] = ..., data: _Optional[_Iterable[bytes]] = ..., arena_address: _Optional[int] = ..., arena_block: _Optional[int] = ..., arena_block_bytes: _Optional[int] = ...) -> None: ...

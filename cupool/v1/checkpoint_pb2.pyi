from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class CheckpointIndex(_message.Message):
    __slots__ = ("version", "version_name", "session", "checkpoint", "document", "buffer", "nbytes", "address", "part_bytes", "file", "offset", "hash", "executed_seq", "ordinal", "kind", "fingerprint", "written")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    VERSION_NAME_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    BUFFER_FIELD_NUMBER: _ClassVar[int]
    NBYTES_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PART_BYTES_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    EXECUTED_SEQ_FIELD_NUMBER: _ClassVar[int]
    ORDINAL_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_FIELD_NUMBER: _ClassVar[int]
    version: int
    version_name: str
    session: str
    checkpoint: int
    document: bytes
    buffer: _containers.RepeatedScalarFieldContainer[int]
    nbytes: _containers.RepeatedScalarFieldContainer[int]
    address: _containers.RepeatedScalarFieldContainer[int]
    part_bytes: int
    file: _containers.RepeatedScalarFieldContainer[int]
    offset: _containers.RepeatedScalarFieldContainer[int]
    hash: bytes
    executed_seq: int
    ordinal: int
    kind: str
    fingerprint: str
    written: float
    def __init__(self, version: _Optional[int] = ..., version_name: _Optional[str] = ..., session: _Optional[str] = ..., checkpoint: _Optional[int] = ..., document: _Optional[bytes] = ..., buffer: _Optional[_Iterable[int]] = ..., nbytes: _Optional[_Iterable[int]] = ..., address: _Optional[_Iterable[int]] = ..., part_bytes: _Optional[int] = ..., file: _Optional[_Iterable[int]] = ..., offset: _Optional[_Iterable[int]] = ..., hash: _Optional[bytes] = ..., executed_seq: _Optional[int] = ..., ordinal: _Optional[int] = ..., kind: _Optional[str] = ..., fingerprint: _Optional[str] = ..., written: _Optional[float] = ...) -> None: ...

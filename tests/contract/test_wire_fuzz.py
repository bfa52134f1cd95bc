"""A sample of the fuzz target, and random valid messages from the descriptors against the codec."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cupool.contract.errors import ProtocolError
from cupool.contract.values import decode, dtype_from_wire, encode
from cupool.v1 import session_pb2 as pb
from cupool.v1 import value_pb2

TARGET = Path(__file__).with_name("fuzz_wire.py")


def fuzz_module() -> Any:
    found = importlib.util.spec_from_file_location("fuzz_wire", TARGET)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules["fuzz_wire"] = module
    found.loader.exec_module(module)
    return module


@pytest.mark.parametrize("seed", [11, 12])
def test_a_sample_of_hostile_frames(seed: int) -> None:
    """In a process of its own, because it limits its memory."""
    run = subprocess.run(
        [sys.executable, str(TARGET), "--runs", "6000", "--seed", str(seed)], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert "6000 frames" in run.stdout


def test_random_values_decode_or_are_refused_and_come_back_the_same() -> None:
    source, module = random.Random(5), fuzz_module()
    decoded = 0
    for _ in range(5000):
        message = module.random_message(source, value_pb2.Value())
        try:
            content = decode(message)
        except ProtocolError:
            continue
        decoded += 1
        assert repr(decode(encode(content))) == repr(content)
    assert decoded > 500


def test_random_dtypes_are_known_or_refused() -> None:
    source, module = random.Random(6), fuzz_module()
    for _ in range(3000):
        try:
            dtype = dtype_from_wire(module.random_message(source, value_pb2.Dtype()))
        except ProtocolError:
            continue
        assert isinstance(dtype, np.dtype) and not dtype.hasobject


def test_random_frames_survive_the_round_trip() -> None:
    source, module = random.Random(7), fuzz_module()
    for kind in (pb.ClientFrame, pb.ServerFrame, pb.PutChunk, pb.GetChunk, pb.DeviceInfo):
        for _ in range(300):
            message = module.random_message(source, kind())
            assert kind.FromString(message.SerializeToString()).SerializeToString() == message.SerializeToString()

"""Forms and pending commands without a session, for tests of what packs them."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from cupool.shim import forms
from cupool.shim.pending import COMMANDS, GATE


@contextmanager
def nothing_pending(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is pending before or behind it, and no form that is made in it is known behind it."""
    # With a session, a form's first use would open it.
    monkeypatch.setattr(forms, "ensure_session", lambda: None)
    monkeypatch.setattr(forms, "flush_all", lambda: None)
    monkeypatch.setattr(forms, "refused", {})
    # Arrays of earlier tests that are garbage in cycles would put their frees among this test's commands.
    gc.collect()
    gc.disable()
    # An outbox defines every form that there is before it sends anything: those of earlier tests, however large, are no part of this one.
    forms.reset()
    COMMANDS.clear()
    GATE.words = 0
    try:
        yield
    finally:
        gc.enable()
    # What tests call forms means nothing to a server that a later test opens.
    forms.reset()
    COMMANDS.clear()
    GATE.words = 0

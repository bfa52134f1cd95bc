"""Two Google Cloud Run functions: one answers HTTP requests with what a small network makes of numbers, one reacts to a CloudEvent.

functions-framework --target predict
functions-framework --target on_measurements --signature-type cloudevent
"""

import functools

import cupy as cp
import functions_framework
import numpy as np

CLASSES = ("low", "middle", "high")


def trained():
    """The network's weights, as a file of the deployment would hold them: which third of [0, 1) the mean of 16 numbers lies in."""
    rng = np.random.default_rng(7)
    first = np.full((16, 8), 1 / 16, np.float32) + rng.normal(0, 1e-4, (16, 8)).astype(np.float32)
    second = np.zeros((8, 3), np.float32)
    second[:, 0], second[:, 2] = -6, 6
    return first, second, np.array([16, 0, -32], np.float32)


@functools.cache
def model():
    """The weights on the GPU, once for this instance."""
    return tuple(cp.asarray(part) for part in trained())


def probabilities(rows):
    first, second, bias = model()
    hidden = cp.maximum(rows @ first, 0)
    scores = hidden @ second + bias
    scores -= scores.max(axis=1, keepdims=True)
    return cp.exp(scores) / cp.exp(scores).sum(axis=1, keepdims=True)


@functions_framework.http
def predict(request):
    """{"rows": [[16 numbers], ...]} -> {"classes": [...], "probabilities": [[3 numbers], ...]}"""
    body = request.get_json(silent=True)
    if not body or "rows" not in body:
        return {"error": 'send {"rows": [[16 numbers], ...]}'}, 400
    rows = np.asarray(body["rows"], np.float32)
    if rows.ndim != 2 or rows.shape[1] != 16:
        return {"error": f"rows of 16 numbers, not of shape {rows.shape}"}, 400
    try:
        found = probabilities(cp.asarray(rows)).get()
    except Exception:
        model.cache_clear()  # the next request begins with fresh weights, whatever has become of the GPU
        raise
    return {"classes": [CLASSES[i] for i in found.argmax(axis=1)], "probabilities": found.tolist()}


@functions_framework.cloud_event
def on_measurements(event):
    """A CloudEvent with {"values": [...]}: prints the statistics, which is where this example stores them."""
    values = cp.asarray(event.data["values"], dtype=cp.float64)
    mean, spread, top = values.mean(), values.std(), cp.percentile(values, 99)
    print(f"{event['id']}: mean {float(mean):.4f} std {float(spread):.4f} p99 {float(top):.4f}", flush=True)

"""Train a small neural network to read handwritten digits.

    python neural_network.py [--numpy]

Training data and weights stay on the GPU; the program looks at the loss every ten epochs.
"""

import sys

import numpy as np
from sklearn.datasets import load_digits

if "--numpy" in sys.argv:
    import numpy as cp
else:
    import cupy as cp

HIDDEN = 64
EPOCHS = 40
EPOCHS_PER_LOOK = 10
BATCH = 64
RATE = 0.3
TRAINING = 1500


def forward(xp, x, weights):
    """Activations of the hidden layer and scores: x (n, 64) -> (n, HIDDEN), (n, 10)."""
    w1, b1, w2, b2 = weights
    hidden = xp.maximum(x @ w1 + b1, 0)
    return hidden, hidden @ w2 + b2


def step(x, target, weights):
    """One step of gradient descent on a batch, in place; returns the batch's loss."""
    w1, b1, w2, b2 = weights
    hidden, scores = forward(cp, x, weights)
    scores -= scores.max(axis=1, keepdims=True)
    likelihood = cp.exp(scores)
    likelihood /= likelihood.sum(axis=1, keepdims=True)
    loss = -cp.log(cp.sum(likelihood * target, axis=1)).mean()
    slope = (likelihood - target) / len(x)
    slope_hidden = (slope @ w2.T) * (hidden > 0)
    w2 -= RATE * (hidden.T @ slope)
    b2 -= RATE * slope.sum(axis=0)
    w1 -= RATE * (x.T @ slope_hidden)
    b1 -= RATE * slope_hidden.sum(axis=0)
    return loss


def main():
    digits = load_digits()
    rng = np.random.default_rng(1)
    cp.random.seed(1)
    order = rng.permutation(len(digits.data))
    data, labels = (digits.data[order] / 16).astype(np.float32), digits.target[order]
    x = cp.asarray(data[:TRAINING])
    target = cp.eye(10, dtype=cp.float32)[cp.asarray(labels[:TRAINING])]
    weights = [
        cp.asarray(rng.standard_normal((64, HIDDEN), dtype=np.float32) * np.float32(0.15)),
        cp.zeros(HIDDEN, dtype=cp.float32),
        cp.asarray(rng.standard_normal((HIDDEN, 10), dtype=np.float32) * np.float32(0.15)),
        cp.zeros(10, dtype=cp.float32),
    ]

    for epoch in range(1, EPOCHS + 1):
        shuffled = cp.random.permutation(TRAINING)
        xs, ts = x[shuffled], target[shuffled]
        losses = [step(xs[i : i + BATCH], ts[i : i + BATCH], weights) for i in range(0, TRAINING, BATCH)]
        if epoch % EPOCHS_PER_LOOK == 0:
            print(f"epoch {epoch}: loss {float(cp.stack(losses).mean()):.4f}")  # the one place that waits

    test = data[TRAINING:]
    scores = forward(cp, cp.asarray(test), weights)[1]
    flat = cp.concatenate([scores.ravel(), *(w.ravel() for w in weights)])
    values = getattr(cp, "asnumpy", np.asarray)(flat)
    # NumPy, with the trained weights, reads the test digits the same way.
    sizes = np.cumsum([scores.size] + [w.size for w in weights])
    host_scores, *host_weights = np.split(values, sizes[:-1])
    host_weights = [h.reshape(w.shape) for h, w in zip(host_weights, weights, strict=True)]
    expected = forward(np, test, host_weights)[1]
    worst = float(np.abs(host_scores.reshape(scores.shape) - expected).max())
    accuracy = float((expected.argmax(axis=1) == labels[TRAINING:]).mean())
    assert worst < 1e-3 and accuracy > 0.93, (worst, accuracy)
    print(f"{accuracy:.1%} of {len(test)} digits that it had not seen read right")
    print(f"checked against NumPy: scores within {worst:.1e}")


main()

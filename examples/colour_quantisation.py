"""Reduce a photograph to 16 colours by k-means clustering of its pixels.

    python colour_quantisation.py [--numpy] [--out FILE]

The pixels stay on the GPU; the program looks at a number once per convergence check, and at the picture once at the end.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_image

COLOURS = 16
ROUNDS_PER_CHECK = 5
MAX_CHECKS = 12
TOLERANCE = 1e-3

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--numpy", action="store_true", help="the same on NumPy, for comparison")
parser.add_argument("--out", type=Path, default=Path("out/china_quantised.png"))
options = parser.parse_args()

if options.numpy:
    cp = np
else:
    import cupy as cp


def nearest(xp, pixels, centres):
    """Index of the nearest centre of each pixel: pixels (n, 3), centres (k, 3) -> (n,)."""
    # |p - c|^2 without its |p|^2, which is the same for every centre.
    return xp.argmin(xp.sum(centres * centres, axis=1) - 2 * (pixels @ centres.T), axis=1)


def means(xp, pixels, labels, centres):
    """The mean of each cluster's pixels; a cluster without pixels keeps its centre."""
    member = (labels[:, None] == xp.arange(len(centres))).astype(pixels.dtype)
    counts = member.sum(axis=0)[:, None]
    return xp.where(counts > 0, (member.T @ pixels) / xp.maximum(counts, 1), centres)


def quantise(xp, pixels, centres):
    """Lloyd's algorithm until no centre moves by more than TOLERANCE. Returns centres, labels and the number of checks."""
    for check in range(1, MAX_CHECKS + 1):
        for _ in range(ROUNDS_PER_CHECK):
            before = centres
            centres = means(xp, pixels, nearest(xp, pixels, centres), centres)
        if float(xp.abs(centres - before).max()) < TOLERANCE:  # the one place that waits for the GPU
            break
    return centres, nearest(xp, pixels, centres), check


def main():
    image = load_sample_image("china.jpg")
    host_pixels = (image.reshape(-1, 3) / 255).astype(np.float32)
    # Start from pixels spread over the brightness of the picture.
    order = np.argsort(host_pixels.sum(axis=1), kind="stable")
    start = host_pixels[order[np.linspace(0, len(order) - 1, COLOURS).astype(int)]]

    pixels = cp.asarray(host_pixels)
    centres, labels, checks = quantise(cp, pixels, cp.asarray(start))
    picture = (centres[labels].reshape(image.shape) * 255 + 0.5).astype(cp.uint8)
    result = picture if options.numpy else cp.asnumpy(picture)

    options.out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(result).save(options.out)

    # Every colour of the result is the mean of the pixels that were given it, and every pixel has its nearest colour.
    palette, host_labels = np.unique(result.reshape(-1, 3), axis=0, return_inverse=True)
    host_labels = host_labels.ravel()
    expected = means(np, host_pixels, host_labels, palette.astype(np.float32) / 255)
    worst_mean = float(np.abs(expected - palette / 255).max())
    error = float(((host_pixels - palette[host_labels] / 255) ** 2).sum(axis=1).mean())
    best = float(((host_pixels - palette[nearest(np, host_pixels, palette / 255)] / 255) ** 2).sum(axis=1).mean())
    assert len(palette) == COLOURS and worst_mean < 0.01 and error < best * 1.001, (
        len(palette),
        worst_mean,
        error,
        best,
    )
    print(
        f"{COLOURS} colours after {checks} convergence checks, mean squared error {error:.6f}, written to {options.out}"
    )
    print(f"checked against NumPy: colours are the means of their pixels within {worst_mean:.4f}")


main()

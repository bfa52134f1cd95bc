"""An AWS Lambda function that finds the edges of an image and measures its sharpness.

Event: {"image": base64 of an .npy file, height x width or height x width x 3, uint8, "sigma": 1.5}
Answer: {"edges": base64 of an .npy file, height x width, uint8, "sharpness": number, "shape": [height, width]}
"""

import base64
import io

import cupy as cp
import numpy as np
from cupyx.scipy import ndimage

WEIGHTS = (0.299, 0.587, 0.114)


def decoded(text):
    return np.load(io.BytesIO(base64.b64decode(text)), allow_pickle=False)


def encoded(array):
    file = io.BytesIO()
    np.save(file, array)
    return base64.b64encode(file.getvalue()).decode()


def edges(image, sigma):
    """Edges (uint8) and the variance of the Laplacian, both on the GPU."""
    grey = image.astype(cp.float32)
    if grey.ndim == 3:
        grey = grey @ cp.asarray(WEIGHTS, dtype=cp.float32)
    smooth = ndimage.gaussian_filter(grey, sigma)
    strength = cp.hypot(ndimage.sobel(smooth, axis=0), ndimage.sobel(smooth, axis=1))
    strength *= 255 / cp.maximum(strength.max(), 1e-6)
    return strength.astype(cp.uint8), ndimage.laplace(grey).var()


def handler(event, context):
    image = cp.asarray(decoded(event["image"]))
    found, sharpness = edges(image, float(event.get("sigma", 1.5)))
    return {"edges": encoded(found.get()), "sharpness": float(sharpness), "shape": list(found.shape)}

"""See `cupy_backends`."""

"""`cupy_backends`, as far as programs reach into it: the runtime and driver modules and their errors."""

import cupool

cupool.install()  # what this import returns is the shim: cupool.shim.cupyx

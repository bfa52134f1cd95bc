import cupool

cupool.install()

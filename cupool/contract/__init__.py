"""What both ends must agree on: the op table and its rules, the codec, errors, ids and versions.

Boundary: imports numpy, protobuf's generated code and the standard library, never grpc and never a component. Shim,
API server, pool and balancer meet here, in `cupool.v1`, and over gRPC; nowhere else.
"""

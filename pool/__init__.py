"""The pool: leases sessions on warm API servers.

    controller   leases, sessions, the directory; decides
    agent        starts, watches and ends the server processes of this host; acts
    services     gRPC: PoolService for clients, AdminService for operators

`python -m cupool.pool` runs controller and agent in one process. Boundary: an API server is a program that the agent starts, and
a gRPC service that it talks to; nothing of `cupool.apiserver` is imported here.
"""

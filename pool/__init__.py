"""The pool: leases sessions on warm API servers.

    controller    decides: over `following` (what hosts tell), `leasing` (who gets a session, and where) and `core` (what both need); its
                  books are `leases`, its rules, all pure, `queue`, `placement`, `tenants`, `plan`, `rates`, `states`
    operations    what operators see and do
    directory     what the pool remembers; `directory_sqlite` on disk
    engine        how the controller reaches hosts: `engines/local` in this process, `engines/remote` over agents' streams
    services      gRPC: PoolService for clients, AdminService for operators, AgentService for agents
    node/         the agent: starts, watches and ends the server processes of its host; acts
    supervisor    keeps the processes of `cupool up` running
    belongings    what a pool has on its host: its folder, credentials, the processes that bear its mark
    security/     listeners, certificates, tokens, the audit log
    cli/          the operator's command line

`python -m cupool.embedded` runs controller and host in one process, `python -m cupool.pool controller` and `... agent` each alone.
Boundary: an API server is a program that the agent starts; nothing of `cupool.apiserver` is imported here.
"""

"""A whole pool on a virtual clock: the controller's own code over hosts, servers, clients and a network that exist in memory only.

    clock       events in order of time; nothing here looks at a real clock, starts a thread or draws from an unseeded source
    network     connections between places: delay, cuts, partitions
    processor   one device's time, shared among those who compute
    server      an API server with its session, as its agent and its client see it
    agent       a host: its servers, its stream to the controller, its outbox
    engine      the controller's `Engine` over those streams
    directory   the controller's directory, with what a kill of the controller loses
    site        the controller as a process that is started, killed, and started again
    client      a program with a session: leases, attaches, computes, resends, replays
    faults      what breaks, and when, by seed
    invariants  what must be true after every event, each with a name
    scenario    what is simulated, by seed
    session     what a session is: a number that every batch changes
    figures     what a run is judged by
    plot        a run as a picture
    world       all of it together, from a `Scenario`

Boundary: decides nothing about leases, placement, moves or balancing: that is the pool's and the balancer's code, unchanged.
"""

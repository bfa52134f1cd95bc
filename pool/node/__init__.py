"""What runs on a host with devices: the agent. It is the parent of the host's API servers and knows all that lives here.

    loop      one thread, descriptors, deadlines
    server    one API server: its process, its pipes, its status file
    zygote    the process that forks servers instead of starting them
    backoff   when a device on which servers do not start is tried again
    host      the servers of this host: orders in, news out
    measure   what devices and the host are doing; `nvml` asks GPUs, `health` judges what they report
    link      the stream to the controller
    main      `python -m cupool.pool agent`

Boundary: decides nothing about leases, tenants or placement. The embedded pool has the same `Host`, without `link`.
"""

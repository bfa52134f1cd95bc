"""Who may do what, and over which doors: tokens, the audit log, listeners, certificates.

    tokens   credentials: made, hashed, checked against what a call needs
    audit    what was decided, in a file that shows if it was changed
    listen   the only place of the pool that opens ports, and what it refuses to open
    certs    a small certificate authority of the pool's own

Boundary: records, functions and files. What is stored where (the directory) and who calls (the services) is others'.
"""

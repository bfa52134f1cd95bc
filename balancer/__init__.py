"""Which sessions move where, and when: a process of its own beside the controller, a client of the pool's AdminService.

`policy` decides, purely, over a `snapshot`; `monitor` smooths what is measured; `migration` is the controller's machine of one move,
pure too.
"""

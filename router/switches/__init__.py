"""What is switched while the service runs, as a query meets it.

    modes.py           how much cleverness is allowed for it
    canary.py          whether the bundle on trial decides for it
    backend_switch.py  which backends are out of service, and what is running on each
    interruptible.py   waits that one deadline ends, or a backend that is taken out

Who switches, and how all replicas agree on it: `router.rollout`.
"""

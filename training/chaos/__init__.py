"""Faults of real processes under live load: what callers see, and what the store has afterwards. `make chaos`.

world.py         two replicas on one PostgreSQL server, three model servers, each a process of its own
load.py          users who ask, and report how it turned out until that is acknowledged; probes of liveness
settled.py       what the store has in the end, and whether the money adds up
idle_clients.py  connections of those who want nothing good: idle ones, and readers that do not read
faults.py        the faults, each a name and what is done
run.py           one scenario: load, the fault, the time after it, what holds
"""

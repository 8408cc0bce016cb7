"""Learn a bundle: every part is fitted and calibrated on queries that it has not seen. `apportion fit`.

from_recordings.py  the story: rows, heads, what decides, plans
from_log.py         the same from a log of decisions, on one outcome per query; `log_rows.py` reads it
rows.py             what a fit reads of recordings
heads.py            all that plans need not be known for, with held-out predictions
query.py            of a query: members, blend, calibration; `joint.py` where many backends share trees
samples.py          of returned samples: `one_head.py` for all; beside it `own_heads.py`, `states.py`, `joint_probe.py`
evidence.py         how far samples are believed in votes
deciding.py         what decides besides heads: `risk.py`, `hop.py`, the plan table, typical queries
exits.py            when a growing trace may end
plans.py            of whole plans, replayed by the live allocator
stops.py            what rules leave open: `learned_stop.py`, `self_eval.py`
command.py          the command
"""

"""Recorded samples as a problem of when to stop: what a fit learns from and a benchmark measures on.

    problem.py         one backend's queries with N samples or more, and orders in which they may arrive
    runs.py            what every run has seen after every sample: its votes, its leader, whether that is right
    split.py           half of the queries tune, the other half is measured
    expected.py        what the predictors expect of every query, learned from a tuning half
    judged.py          what samples say for themselves, learned from the same
    known.py           these together: all that a way to stop may look at
    worth.py           where `value_of_next` stops by votes alone, at many settings at once
    weighed_runs.py    where it stops when samples bring evidence
    weighed.py         the same as settings at a range of costs
    by_expectation.py  where it stops with what is expected of each query: by votes, or weighed
    candidates.py      settings, and which of them a tuning half would take

Axis order of arrays is (permutations R, queries n, samples N) throughout.
"""

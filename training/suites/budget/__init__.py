"""The suite `budget`: the real ledger, prices and rule over recorded outcomes, in virtual time.

world.py      what every plan is expected to give and what it gave, for each query
day_before.py what the bundle knows of queries and of when they come
scenarios.py  when queries come, how long they take, how many replicas there are and what happens to them
house.py      the replicas: a ledger, prices and the rule each, over one shared store
simulate.py   one window, event by event
hindsight.py  what the best fixed price would have given, and anybody at all
measure.py    a scenario's figures
suite.py      all scenarios, all seeds
"""

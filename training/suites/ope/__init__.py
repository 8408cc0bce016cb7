"""The suite `ope`: do estimates from a log of draws find what a policy would have given, and do their intervals cover?

world.py     a recording as a population: what could be logged, what every backend would have earned, two policies
log.py       rows drawn from it with replacement, under a logging policy that explores
bound.py     the best model that full information can give, predicted for queries that it was not fitted on
measure.py   many logs of one size and exploration: every estimator's error, interval and refusals
reference.py the same estimates by another program on the same log
suite.py     all explorations and sizes, in processes

candidates.py  bad, better and equal candidates of known worth      proof.py  the promotion gate put to all of them
"""

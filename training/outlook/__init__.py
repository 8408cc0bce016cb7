"""What would you have saved, at what risk, and what would more labels bring? Said by `apportion fit`.

outlook.py  bundles fitted on some labelled queries, tried on the others
trial.py    what every plan gives on queries that a bundle was not fitted on
figures.py  what a policy at a price would have saved, with intervals
text.py     all of it for people and as JSON
"""

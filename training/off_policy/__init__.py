"""What another policy would have given, from the log of the one that ran. To add an estimator, write a module here and
give it a line in `ESTIMATORS`.

logged.py     the rows that every estimator reads
usable.py     from the log's columns to these rows; what cannot be used, counted by reason
"""

from __future__ import annotations

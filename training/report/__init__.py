"""What the log alone says: what was spent, what `apply` would save, and at what risk. `apportion report`.

rows.py        the log as a report reads it
rewards.py     from reported outcomes to one reward per decision
observed.py    which rows tell what `apply` would have done
groups.py      the rows by tenant, plan or bundle
realised.py    what was realised where `apply` served
prediction.py  what `apply` will cost and be worth in the next as many queries
intervals.py   numbers with 95 % intervals
facts.py       all of it as JSON types
text.py        … as text
plot.py        … as a picture
command.py     the command
"""

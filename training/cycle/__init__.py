"""From the log to a better bundle in production: export -> drift -> fit -> evaluate -> promote, whatever kills it.

journal.py      which stages of which cycle are done, and what they found
policy.py       what a bundle would do with the queries of a log, and what it expects of it
rows.py         labelled decisions: which are fitted on, which are held out, and what two bundles would do with these
drift.py        what has changed, and since when the log is to be trusted
canary.py       how the bundle that decides for a share does
recalibrate.py  what serves with its curves recalibrated: a candidate without a fit
run.py          the story of one cycle
"""

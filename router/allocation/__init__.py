"""The parts of the allocator, which runs a query: what stands at its two ends, and what it asks in between.

    books.py            the two ends: mode, first decision and reservation; settlement and the logged row
    take_over.py        which plans may take the place of one that failed, or for which there was too little money
    progress.py         all that is known of a query while it runs
    stage_call.py       a stage as one request to its backend
    growing_signals.py  what is told of a sample that still grows
    verified_score.py   what a verifier says of a sample
    asker.py            questions of selectors and rules, put to backends
    apply_verdict.py    what a verdict does to the samples of a stage
    logged_row.py       from the progress to the row that is logged

The walk itself is `router.allocator`.
"""

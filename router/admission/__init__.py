"""Who may come in, and what need not be worked on twice: all that stands between a door and the allocator.

    admission.py          so many queries at a time, urgent ones a few more; nobody while the replica goes down
    concurrency_limit.py  how many: fewer while the event loop is late
    shedding.py           which share is refused where calls wait too long to be looked at
    tenant_limits.py      how many of one tenant, at a time and a second
    outcome_rates.py      how many outcomes one tenant may report
    retry_delay.py        what who is refused is told to wait
    idempotency.py        one request id, one piece of work
    coalescing.py         queries that come close together decide in a row

Who a caller is, is another thing: `router.auth`.
"""

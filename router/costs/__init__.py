"""What a query costs on which backend, in money and in time.

    backend_terms.py  prices, limits and speed of every backend, as configured
    price_list.py     what each charges when: today's prices and those of later dates
    worst_case.py     what a query may cost at most under a plan: what the ledger sets aside
    live_speeds.py    how fast backends are now, where somebody watches them
    load_watch.py     who watches: a look at the load of model servers now and then

The shadow price of a budget is another thing: `router.pricing`.
"""

"""Which plan a query gets, before anything is sampled.

    choose.py         look at the query, then the four below in a row
    feasible.py       which plans it may get at all, and why not the others
    forecast.py       what each plan would give: expected quality, cost and latency
    quality_price.py  which shadow price gives a wished quality on average
    draw.py           every draw is a keyed hash, so that it can be repeated

Between forecast and draw stands the policy: `router.policies`.
"""

"""Many queries under one budget: taken in, worked off at one price for all of them, taken up again after a restart.

    batch.py    what a batch is
    kept.py     where batches are kept: a table in the database of the budgets
    price.py    the price at which what is left of a batch costs what is left of its money
    work.py     one batch, worked off
    batches.py  all batches of a replica

At one price for all queries money goes where the next micro-dollar gives most (the Lagrangian of the knapsack over
queries and plans; Snell et al. 2024 and Damani et al. 2024 allocate samples so), and the rules that value a further
sample read the same price. It is set anew for every query, from what has really been spent.
"""

"""The price of compute: one number per account that makes its money last, no longer and no shorter than its window.

    offers.py    a query as the price sees it: which further cost is bought at which price, and the price for a spending
    typical.py   the same of the bundle's typical queries, for the start
    curve.py     mean spendings at all prices, as arrays that can be added
    hours.py     how the queries to come differ from those of now, where the hours of typical queries are known
    demand.py    how many queries are to come until the window ends, and how sure that is
    pace.py      micro-dollars that a query may cost on average from now on
    price.py     the price of one account: model, corrected by what was really spent
    accounts.py  the prices of all accounts; what a query pays is the highest of its branch

The budget's dual variable (quality per dollar) is found by a model of the traffic instead of by steps alone: what is
left, by the queries still to come, is a cost per query; the queries seen lately say at which price they cost that much
(the multiplier of the knapsack's relaxation; Dantzig 1957). What is really charged, against what the model expected at
the price, corrects it, and what is left is counted anew each time: the feedback of the dual update
(lambda <- max(0, lambda + eta (spent - pace)); Balseiro & Gur 2019) without its step size, and without its overshoot
after a burst.
"""

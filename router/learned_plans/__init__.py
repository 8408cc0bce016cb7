"""What a bundle has learned of the configuration's plans.

    known_plans.py      predictions about plans, under the names that they have today
    learned_rules.py    numbers that a plan's rules leave open
    risk_thresholds.py  thresholds for promised risks: how the plans are offered with all of it

The last two change what a plan does, and with it its digest.
"""

"""How decisions turned out, as one page that needs nothing else: `apportion evaluate --html`.

facts.py    the numbers: outcome, backends alone, regret by task, calibration, risk, what changed
charts.py   frontier and reliability as pictures
page.py     the page
"""

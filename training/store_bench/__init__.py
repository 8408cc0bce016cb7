"""What the decision store sustains, measured on made-up traffic: `make store-bench`.

made_rows.py   decisions and outcomes like those of a service with two backends and five plans, by number and seed
"""

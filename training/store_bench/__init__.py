"""What the decision store sustains, measured on made-up traffic: `make store-bench`.

made_rows.py        decisions and outcomes like those of a service with two backends and five plans, by number and seed
fill.py             a store full of them, and how many bytes a row takes
outcome_stream.py   outcomes into a real service in a process of its own
postgres_server.py  a PostgreSQL server out of a Python package, that can be killed and started again
postgres_start.py   starts it, in a process of its own
"""

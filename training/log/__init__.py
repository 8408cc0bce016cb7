"""The log as training reads it: decisions and outcomes exported from stores to Parquet, joined, and rewarded.

`export_log` writes a folder (or any URL that fsspec opens): `decisions/day=…/*.parquet`, `outcomes/day=…/*.parquet`,
`grades/*.parquet` and `manifest.json`, which says what counts. `read_log` reads it back, `reward_decisions` labels it.
Without us: `duckdb.sql("SELECT plan, avg(cost) FROM 'DIR/decisions/*/*.parquet' GROUP BY plan")`.
"""

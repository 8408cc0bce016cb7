"""The ranges of a query, checked on the query itself, so that every door keeps the same."""

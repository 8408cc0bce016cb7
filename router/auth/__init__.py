"""Who may come in, and as whom: bearer tokens of tenants, kept as hashes in a file that may change while it serves."""

"""`router.toml`, read strictly: places of keys, typed sections, ranges, problems with their lines, plans."""

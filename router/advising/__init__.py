"""Decisions for callers who call models themselves: the allocator's own loop, over samples that they bring."""

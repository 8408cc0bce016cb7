"""Addresses of stores: which are a PostgreSQL server's, and how they are told."""

from __future__ import annotations

from urllib.parse import urlsplit


def is_postgres(address: str) -> bool:
    """Whether the address names a PostgreSQL server."""
    return address.startswith(("postgresql://", "postgres://"))


def without_user(address: str) -> str:
    """A server's address for messages: no user, no parameters.

    >>> without_user("postgresql://ann@db:5432/apportion?sslmode=require")
    'postgresql://db:5432/apportion'
    """
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()

"""Connections that cannot hang: to callers, to configured addresses, to PostgreSQL.

    keep_alive_stream.py    a stream to a caller that is never silent for long
    slow_reader.py          a caller that reads nothing is not waited for without end
    http_log.py             what aiohttp says of connections, in our log
    json_post.py            one JSON question to an address, bounded in time and size
    postgres_connection.py  ends by itself when the server says nothing for too long
    store_address.py        which addresses are a PostgreSQL server's, and how they are told

Model servers are `router.backends`' own.
"""

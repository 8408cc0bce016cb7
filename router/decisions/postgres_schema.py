"""The PostgreSQL tables: what they are, and how older ones become newer ones, by one replica at a time.

To change them, append a script to `MIGRATIONS`; the table `apportion_schema` counts the scripts that a database has
had. Decisions lie in one partition per day (UTC), made when its first row comes: throwing a day away is dropping it.
"""

from __future__ import annotations

TABLES = ("decisions", "outcomes", "replicas", "names", "store", "deletions")  # none may be there before ours

MIGRATIONS = (
    """
    CREATE SEQUENCE decisions_n;
    CREATE TABLE decisions (
        n BIGINT NOT NULL,
        created_at DOUBLE PRECISION NOT NULL,
        day DATE NOT NULL,
        decision_id TEXT COLLATE "C" NOT NULL,
        tenant TEXT COLLATE "C" NOT NULL,
        body BYTEA NOT NULL,
        PRIMARY KEY (decision_id, day)
    ) PARTITION BY RANGE (day);
    CREATE INDEX decisions_by_time ON decisions (created_at);
    CREATE INDEX decisions_by_number ON decisions USING brin (n) WITH (pages_per_range = 16);
    CREATE INDEX decisions_by_tenant ON decisions (tenant);
    CREATE TABLE outcomes (
        n BIGSERIAL PRIMARY KEY,
        received_at DOUBLE PRECISION NOT NULL,
        tenant TEXT COLLATE "C" NOT NULL,
        key TEXT COLLATE "C" NOT NULL,
        subject TEXT NOT NULL CHECK (subject IN ('decision', 'request', 'session')),
        subject_id TEXT COLLATE "C" NOT NULL,
        supersedes TEXT COLLATE "C" NOT NULL,
        body BYTEA NOT NULL,
        UNIQUE (tenant, key)
    );
    CREATE INDEX outcomes_by_subject ON outcomes (subject_id, subject);
    CREATE INDEX outcomes_by_superseded ON outcomes (tenant, supersedes) WHERE supersedes <> '';
    CREATE TABLE replicas (
        replica TEXT COLLATE "C" PRIMARY KEY,
        first BIGINT NOT NULL,
        last BIGINT NOT NULL,
        arrived BIGINT NOT NULL
    );
    CREATE TABLE names (id SERIAL PRIMARY KEY, value BYTEA NOT NULL UNIQUE);
    CREATE TABLE store (identity TEXT NOT NULL);
    INSERT INTO store VALUES (replace(gen_random_uuid()::text, '-', ''));
    CREATE TABLE deletions (
        n BIGSERIAL PRIMARY KEY,
        at DOUBLE PRECISION NOT NULL,
        tenant TEXT NOT NULL,
        decision_id TEXT NOT NULL
    );
    """,
)

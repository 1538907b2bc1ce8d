"""What tests do to a PostgreSQL server and to the lease of a study in it."""

from __future__ import annotations

import psycopg


def sql(server, statement, *values):
    """Run a statement as somebody from outside would."""
    with psycopg.connect(server.url, autocommit=True) as db:
        found = db.execute(statement, values)
        return found.fetchall() if found.description else found.rowcount


def elsewhere(server, study, *, silent):
    """Make it look as if the holder ran on another machine, silent for so many seconds."""
    return sql(
        server,
        "UPDATE attain.lease SET machine = 'elsewhere/boot/ns', host = 'elsewhere',"
        " beat = extract(epoch FROM clock_timestamp()) - %s"
        " WHERE study = (SELECT id FROM attain.study WHERE name = %s)",
        silent,
        study,
    )

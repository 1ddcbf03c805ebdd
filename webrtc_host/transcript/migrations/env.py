"""Alembic's entry point: runs the migrations on the connection that `transcript.schema_upgrade` passes.

It always uses an existing connection, because only the server opens the record.
"""

from alembic import context

from webrtc_host.transcript.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a table by making it anew
)
with context.begin_transaction():
    context.run_migrations()

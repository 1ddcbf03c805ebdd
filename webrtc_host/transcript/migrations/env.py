"""Alembic's entry: run the migrations on the connection that `transcript.store` hands over.

Only online, on a connection that is there already: the record is opened by the server alone.
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

"""The names of the radios that were heard in a final, for the search.

Revision 0017, after 0016. The finals of earlier versions get theirs from their events.
"""

import json

import sqlalchemy as sa
from alembic import op

from webrtc_host.transcript.search_text import names_key

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

WITH_TALKERS = sa.text(
    "SELECT session, seq, data FROM events WHERE type = 'segment.final' AND data LIKE '%\"talkers\":[%'"
)
FILL = sa.text("UPDATE segments SET talkers = :talkers WHERE session = :session AND seq = :seq")
STEP = 1000


def upgrade() -> None:
    op.add_column("segments", sa.Column("talkers", sa.Text(), nullable=True))
    connection = op.get_bind()
    filled = []
    for session, seq, data in connection.execute(WITH_TALKERS):
        talkers = json.loads(data).get("talkers") or []
        names = [f"{one['id']} {one.get('label') or ''}" for one in talkers]
        filled.append({"session": session, "seq": seq, "talkers": names_key(names) or None})
    for at in range(0, len(filled), STEP):
        connection.execute(FILL, filled[at : at + STEP])

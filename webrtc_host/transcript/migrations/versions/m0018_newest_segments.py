"""An index of the newest finals, with their lengths, for searches without words.

Revision 0018, after 0017. It makes no change to any row.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        op.f("ix_segments_newest"), "segments", [sa.text("length(id)"), "id", "start_ms", "end_ms"]
    )

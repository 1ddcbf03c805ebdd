"""An index of the finals in which a radio was heard, with their radios, for the search by a radio.

Revision 0019, after 0018. It makes no change to any row.
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

HAS_RADIOS = sa.text("talkers IS NOT NULL")


def upgrade() -> None:
    op.create_index(
        op.f("ix_segments_radios"),
        "segments",
        [sa.text("length(id)"), "id", "talkers"],
        sqlite_where=HAS_RADIOS,
        postgresql_where=HAS_RADIOS,
    )

"""Which `segment.revised` event holds the newest text of a final.

Revision 0004, after 0003.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("segments", sa.Column("revision", sa.Integer(), nullable=True))
    op.add_column("segments", sa.Column("revised_seq", sa.BigInteger(), nullable=True))

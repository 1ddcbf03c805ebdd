"""The glossary terms of each channel, so that a restarted server still has them.

Revision 0002, after 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("channels", sa.Column("glossary", sa.Text(), nullable=True))

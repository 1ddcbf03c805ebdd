"""Figures of each channel for every five minutes, for the comparison with what is usual.

Revision 0015, after 0014.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "usual_points",
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("wall_ms", sa.BigInteger(), nullable=False),
        sa.Column("words", sa.Float(), nullable=False),
        sa.Column("delay_ms", sa.Float(), nullable=True),
        sa.Column("confidence", sa.Float(), nullable=True),
        sa.Column("level_db", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("channel", "label", "wall_ms", name=op.f("pk_usual_points")),
    )
    op.create_index(op.f("ix_usual_points_wall_ms"), "usual_points", ["wall_ms"])

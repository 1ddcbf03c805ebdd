"""Vectors of finals, for the search by meaning.

Revision 0010, after 0009.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "meanings",
        sa.Column("segment", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("is_waiting", sa.Boolean(), nullable=False),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("vector", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["segment"], ["segments.id"], name=op.f("fk_meanings_segments"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("segment", name=op.f("pk_meanings")),
    )
    op.create_index(op.f("ix_meanings_is_waiting_number"), "meanings", ["is_waiting", "number"])

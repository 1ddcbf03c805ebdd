"""Vectors of the summaries of rooms, for the search by meaning.

Revision 0016, after 0015.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "room_meanings",
        sa.Column("room", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("vector", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["room"], ["rooms.id"], name=op.f("fk_room_meanings_rooms"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("room", name=op.f("pk_room_meanings")),
    )

"""Vectors of summaries, for the search by meaning.

Revision 0014, after 0013.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "summary_meanings",
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("vector", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session", "summary"],
            ["summaries.session", "summaries.id"],
            name=op.f("fk_summary_meanings_summaries"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("session", "summary", name=op.f("pk_summary_meanings")),
    )

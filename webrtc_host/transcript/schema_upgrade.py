"""The schema of the record's database: runs the migrations, and refuses a database of a newer version."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from webrtc_host.errors import ConfigError

logger = logging.getLogger(__name__)


def known_revisions() -> list[str]:
    """The revisions of the schema that this version knows, oldest first."""
    return [script.revision for script in reversed(list(_scripts().walk_revisions()))]


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Run the migrations that are missing up to `revision`, within the caller's transaction."""
    config = _alembic()
    config.attributes["connection"] = connection
    scripts = _scripts()

    def steps(current: Any, _: Any) -> Any:
        return scripts._upgrade_revs(revision, current)

    with EnvironmentContext(config, scripts, fn=steps, destination_rev=revision):
        scripts.run_env()


@functools.cache
def _scripts() -> ScriptDirectory:
    # Once per process: Alembic executes the source of every migration to find their order.
    return ScriptDirectory.from_config(_alembic())


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", "webrtc_host.transcript:migrations")
    config.set_main_option("path_separator", "os")
    return config


def refuse_newer(name: str, found: list[str]) -> None:
    """Raise ConfigError when the database has a revision that this version does not know."""
    known = known_revisions()
    for revision in found:
        if revision not in known:
            raise ConfigError(
                f"{name} was written by a newer version of host-stt (its schema is {revision}, this version "
                f"knows up to {known[-1]}) and was left untouched; start that version, or choose another "
                "data folder with --set data.dir=FOLDER."
            )


def migrate(engine: Engine, before: Callable[[str], None] = lambda _: None) -> None:
    """Bring the schema to the newest revision. before: called first, with the revision of an old database."""
    with engine.connect() as connection:
        with connection.begin():
            current = MigrationContext.configure(connection).get_current_revision()
        if current == known_revisions()[-1]:
            return
        if current is not None:
            before(current)
        with connection.begin():
            upgrade(connection)
        logger.info("the record's schema: %s -> %s", current or "none", known_revisions()[-1])

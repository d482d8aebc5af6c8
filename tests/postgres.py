"""A PostgreSQL server that is made for tests and thrown away."""

import itertools
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

ADMIN, PASSWORD = "postgres", "pass word:/@%"


def programs():
    """Folder of initdb and pg_ctl of a PostgreSQL that has PostGIS; None where there is none, or nobody to run it."""
    for control in sorted(Path("/usr/share/postgresql").glob("*/extension/postgis.control"), reverse=True):
        folder = Path("/usr/lib/postgresql") / control.parts[-3] / "bin"
        if (folder / "initdb").is_file() and (os.geteuid() != 0 or shutil.which("runuser")):
            return folder
    return None


@dataclass(frozen=True)
class Server:
    """A running server that asks for passwords and listens on a socket alone."""

    folder: Path
    counter: itertools.count

    def address(self, name, user=ADMIN):
        """Address of a database, without a password."""
        return f"postgresql://{user}@/{name}?host={self.folder}"

    def connect(self, name="postgres", user=ADMIN, password=PASSWORD):
        """Connect with each statement on its own."""
        return psycopg.connect(self.address(name, user), password=password, autocommit=True)

    @contextmanager
    def database(self):
        """Give the name of a new database with PostGIS."""
        name = f"test_{next(self.counter)}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE with_postgis")
            try:
                yield name
            finally:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def running():
    """Start a server, as another user where this one is root, and stop it."""
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    before = []
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
        before = ["runuser", "-u", "postgres", "--"]

    def run(*words):
        subprocess.run([*before, *map(str, words)], check=True, cwd="/", stdout=subprocess.DEVNULL, timeout=100)

    secret = folder / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    bin, data = programs(), folder / "data"
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off -c logging_collector=off"
    try:
        run(bin / "initdb", "-D", data, "-U", ADMIN, "-A", "scram-sha-256", "--pwfile", secret, "-E", "UTF8", "-N")
        run(bin / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
        try:
            server = Server(folder, itertools.count())
            with server.connect() as connection:
                connection.execute("CREATE DATABASE with_postgis")
            with server.connect("with_postgis") as connection:
                connection.execute("CREATE EXTENSION postgis")
            yield server
        finally:
            run(bin / "pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)

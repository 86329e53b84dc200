"""A private Valkey: one for each folder, and it never outlives the process that started it."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, Self
from urllib.parse import quote

from bot.embedded.binary import EmbeddedError, find_server

Fsync = Literal["always", "everysec", "no"]

SOCKET_PATH_LIMIT: Final = 104
"""Bytes of a unix socket's path with its final NUL: 108 on Linux, 104 on macOS."""
SILENCE_LIMIT_S: Final = 30.0
"""How long a live server may leave a PING unanswered while it starts; answering LOADING is an answer."""
STOP_LIMIT_S: Final = 30.0
PREDECESSOR_LIMIT_S: Final = 10.0
"""How long to wait for the server of a process that died: it may still be writing its last bytes."""
LOG_LINES: Final = 12

# The parent-death signal belongs to the thread that forks and must be set between fork and exec. A preexec_fn would do
# it in a copy of a threaded process, against which Python 3.12 warns; this does it in a fresh interpreter instead.
DIE_WITH_PARENT: Final = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


def dying_with_us(command: Sequence[str]) -> list[str]:
    """The command, as it is to be started by the thread that it must not outlive; bound to it on Linux only."""
    if sys.platform == "linux":
        return [sys.executable, "-I", "-S", "-c", DIE_WITH_PARENT, str(os.getpid()), *command]
    return list(command)


class Embedded:
    """One private server with its data in `folder`; an async context manager, bound to no event loop.

    It keeps every acknowledged write (`fsync="always"`; "everysec" may lose the last second in a power cut) and drops
    none for want of memory. Start it from a thread that lives as long as the server should: when that thread ends, by
    whatever death, Linux ends the server (elsewhere the folder's lock still keeps a second one away).

    folder: made if absent; holds the data, `lock` and `valkey.log`.
    extra: more configuration, or other values for the defaults, by directive.
    """

    def __init__(self, folder: Path, *, fsync: Fsync = "always", extra: Mapping[str, str] | None = None) -> None:
        self.folder = folder.absolute()
        self.log = self.folder / "valkey.log"
        self._config = {
            "port": "0",
            "dir": str(self.folder),
            "appendonly": "yes",
            "appendfsync": fsync,
            # Without the RDB preamble any Redis or Valkey, older ones too, can open the data.
            "aof-use-rdb-preamble": "no",
            "save": "",
            "maxmemory-policy": "noeviction",
            "notify-keyspace-events": "Ex",
            "hz": "100",
            "unixsocketperm": "700",
            **(extra or {}),
        }
        self._binary: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None
        self._socket_folder: Path | None = None
        self._log_start = 0

    @property
    def url(self) -> str:
        """`unix://…/valkey.sock`, as redis-py's `from_url` takes it; the same after kill() and start()."""
        return f"unix://{quote(str(self._socket))}"

    @property
    def pid(self) -> int:
        """The server's process id. Raises EmbeddedError when it was not started."""
        if self._process is None:
            raise EmbeddedError(f"The server of {self.folder} is not running.")
        return self._process.pid

    @property
    def binary(self) -> Path:
        """The server's program, found at the first use. Raises EmbeddedError as find_server does."""
        if self._binary is None:
            self._binary = find_server()
        return self._binary

    async def start(self) -> None:
        """Run the server and return when it has loaded its data, however long that takes, and answers.

        Raises EmbeddedError: no server, the folder is in use, or the server exited (its last log lines are quoted).
        """
        if self._process is not None:
            raise EmbeddedError(f"The server of {self.folder} is already running (pid {self._process.pid}).")
        binary = self.binary
        await self._take_folder()
        try:
            self._process = self._spawn(binary)
            await self._until_loaded(self._process)
        except BaseException:
            if self._process is not None:
                self._process.kill()
                self._process.wait()
            self._release()
            self._drop_socket_folder()
            raise

    async def stop(self) -> None:
        """End the server cleanly and wait for its exit; nothing happens when it is not running."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                await asyncio.to_thread(self._process.wait, STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                await asyncio.to_thread(self._process.wait)
        self._release()
        self._drop_socket_folder()

    async def kill(self) -> None:
        """End the server with SIGKILL, as a crash would, and wait for its exit; start() runs it again."""
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
        self._release()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def _socket(self) -> Path:
        beside_data = self.folder / "valkey.sock"
        if len(os.fsencode(beside_data)) < SOCKET_PATH_LIMIT:
            return beside_data
        if self._socket_folder is None:
            self._socket_folder = Path(tempfile.mkdtemp(prefix="assent-", dir="/tmp"))
        return self._socket_folder / "valkey.sock"

    async def _take_folder(self) -> None:
        """Take the folder's lock. The server inherits it, so that it is free only when the server is gone too."""
        patience = time.monotonic() + PREDECESSOR_LIMIT_S
        while not self._try_lock():
            owner, server = self._holder()
            if owner is None or _alive(owner) or time.monotonic() > patience:
                raise EmbeddedError(
                    f"{self.folder} is in use: process {owner or 'unknown'} runs a server on it "
                    f"(pid {server or 'unknown'}). Stop that one, choose another folder, or set REDIS_URL to share it."
                )
            await asyncio.sleep(0.02)

    def _try_lock(self) -> bool:
        import fcntl  # absent on Windows, where this module must still be importable

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise EmbeddedError(f"Can't keep data in {self.folder} ({error}): choose a folder to write to.") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._lock = lock
        return True

    def _holder(self) -> tuple[int | None, int | None]:
        pids = [int(word) for word in (self.folder / "lock").read_text().split()]
        return (pids[0], pids[1]) if len(pids) == 2 else (None, None)

    def _spawn(self, binary: Path) -> subprocess.Popen[bytes]:
        assert self._lock is not None
        options = [word for key, value in self._config.items() for word in (f"--{key}", value)]
        command = [str(binary), *options, "--unixsocket", str(self._socket)]
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            process = subprocess.Popen(
                dying_with_us(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(self._lock,),
                # Its own group: a Ctrl-C in the terminal is for us, and the server must outlive our drain.
                process_group=0,
            )
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()} {process.pid}\n".encode(), 0)
        return process

    async def _until_loaded(self, process: subprocess.Popen[bytes]) -> None:
        heard = time.monotonic()
        while (reply := await self._ping()) != b"+PONG\r\n" and not reply.startswith(b"-NOAUTH"):
            if process.poll() is not None:
                raise EmbeddedError(f"{self._binary} exited with {process.returncode}. {self._last_words()}")
            if reply:
                heard = time.monotonic()
            elif time.monotonic() - heard > SILENCE_LIMIT_S:
                raise EmbeddedError(f"{self._binary} did not answer for {SILENCE_LIMIT_S:g} s. {self._last_words()}")
            await asyncio.sleep(0.01)

    async def _ping(self) -> bytes:
        """The first line of the answer; nothing when there is none yet."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._socket)
        except OSError:
            return b""
        try:
            async with asyncio.timeout(1):
                writer.write(b"PING\r\n")
                return await reader.readline()
        except (OSError, TimeoutError):
            return b""
        finally:
            writer.close()

    def _last_words(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join([f"The end of {self.log}:", *(f"  {line}" for line in lines[-LOG_LINES:])])

    def _release(self) -> None:
        self._process = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _drop_socket_folder(self) -> None:
        if self._socket_folder is not None:
            shutil.rmtree(self._socket_folder, ignore_errors=True)
            self._socket_folder = None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

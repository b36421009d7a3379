"""
METEOR's Java program: how it is found, started, asked and ended.

It answers a `SCORE` line with a line of statistics. All lines are written without waiting, while a thread reads the
answers and another one whatever Java complains about; every wait has a limit.
"""

import contextlib
import importlib.util
import os
import queue
import shutil
import subprocess
import tempfile
import threading
import time

import numpy as np

from .meteor_table import filter_table

START_LIMIT = 120.0  # seconds from starting Java to its first answer, the paraphrase table included
ANSWER_LIMIT = 120.0  # seconds without a further answer
COMPILE_FROM = 20_000  # lines from which on it pays to let Java optimise itself for long, on the second core
HEAP_LIMIT = 2048  # MiB, as in pycocoevalcap; Java was seen to take 150 to 210 in all

STATISTICS = 23  # numbers in an answer

JAR = "meteor-1.5.jar"
TABLE = os.path.join("data", "paraphrase-en.gz")

_JAVA_OPTIONS = (
    "-XX:+IgnoreUnrecognizedVMOptions",  # not every Java has all that follow
    "-XX:+UseSerialGC",  # a third of the memory of the default collector
    "-Xmn64M",
    "-XX:-UsePerfData",  # a file in /tmp, which stays when Java is killed
    "-XX:+ErrorFileToStderr",  # a file in the working directory when Java crashes
    "-XX:-CreateCoredumpOnCrash",
    "-XX:+DisplayVMOutputToStderr",  # or it would stand among the answers
    "-Dfile.encoding=UTF-8",
    "-Duser.language=en",  # what is a lower-case I depends on it
    "-Duser.country=US",
)
_METEOR_OPTIONS = ("-", "-", "-stdio", "-l", "en")
_PIPES = "/dev/fd"  # where programs open the pipes that they inherit, if the system has it
_GONE_LIMIT = 2.0  # seconds until all have seen that Java is gone
_TAIL = 4000  # bytes of Java's complaints that are remembered


class MeteorUnavailable(RuntimeError):
    """METEOR cannot run here: the package pycocoevalcap or Java is missing."""


class MeteorError(RuntimeError):
    """METEOR did not start, ended, fell silent, or answered something else. The next call starts it anew."""


def find_files():
    """
    Returns:
        `tuple[str, str]`: the path of `java`, and the folder of METEOR in the package pycocoevalcap.

    Raises:
        [`MeteorUnavailable`]: one of them is missing.
    """
    package = importlib.util.find_spec("pycocoevalcap")
    places = package.submodule_search_locations if package is not None else ()
    for place in places:
        folder = os.path.join(os.path.abspath(place), "meteor")
        if os.path.exists(os.path.join(folder, JAR)) and os.path.exists(os.path.join(folder, TABLE)):
            break
    else:
        raise MeteorUnavailable(
            f"METEOR needs {JAR} and its paraphrase table from the Python package pycocoevalcap, which is "
            f"{'incomplete' if package is not None else 'not installed'}: `pip install pycocoevalcap`."
        )
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=os.path.join(home, "bin")) if home else None
    java = java or shutil.which("java")
    if java is None:
        raise MeteorUnavailable(
            "METEOR needs Java 8 or newer, but there is no `java` on PATH nor in JAVA_HOME: install a Java runtime "
            "(for example `apt install default-jre-headless`) or set JAVA_HOME."
        )
    return os.path.abspath(java), folder


class MeteorProcess:
    """
    One Java process, with the part of the paraphrase table that some captions can use.

    Args:
        java (`str`): path of the `java` program.
        folder (`str`): where the jar is; nothing is written there.
        phrases ([`Phrases`]): of these captions.
        norm (`bool`): whether the captions are any strings; `False` for words divided by spaces.
        lines (`int`): how many lines there are to answer first.
    """

    def __init__(self, java, folder, phrases, norm, lines):
        self._java = java
        self._folder = folder
        self.phrases = phrases
        self.norm = norm
        self._options = _JAVA_OPTIONS if lines >= COMPILE_FROM else (*_JAVA_OPTIONS, "-XX:TieredStopAtLevel=1")
        self._process = None
        self._table_pipe = None
        self._table_folder = None
        self._threads = []
        self._output = queue.SimpleQueue()
        self._complaints = b""

    @property
    def pid(self):
        return self._process.pid

    def is_alive(self):
        """Whether it runs and waits for questions: its output has not ended, and nothing unasked is in it."""
        return self._process is not None and self._process.poll() is None and self._output.empty()

    def start(self):
        """Starts Java with the rows of the table that the captions can use, and waits until it answers."""
        deadline = time.monotonic() + START_LIMIT
        table = os.path.join(self._folder, TABLE)
        if os.path.exists(_PIPES):
            # Java gets ready while the table is read, and no file has to be written.
            end, start = os.pipe()
            self._table_pipe = open(start, "wb", buffering=0)
            try:
                self._launch(f"{_PIPES}/{end}", pass_fds=(end,))
            finally:
                os.close(end)
            self._run(self._send_table, filter_table(table, self.phrases))
        else:
            self._table_folder = tempfile.TemporaryDirectory(prefix="meteor", ignore_cleanup_errors=True)
            path = os.path.join(self._table_folder.name, "table.gz")
            with open(path, "wb") as file:
                file.write(filter_table(table, self.phrases))
            self._launch(path)
        self.ask(b"SCORE ||| a ||| a\n", 1, max(deadline - time.monotonic(), 1.0))
        if self._table_folder is not None:
            self._table_folder.cleanup()

    def _launch(self, table, **options):
        command = [self._java, f"-Xmx{HEAP_LIMIT}M", *self._options, "-jar", JAR, *_METEOR_OPTIONS, "-a", table]
        command += ["-norm"] if self.norm else []
        options |= dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        if os.name == "posix":
            options["process_group"] = 0  # an interrupt from the keyboard is for us
        try:
            # From its folder, because Java reads no path that the locale cannot spell.
            self._process = subprocess.Popen(command, cwd=self._folder, bufsize=0, **options)
        except OSError as error:
            raise MeteorUnavailable(f"METEOR needs Java, but {self._java} cannot be started: {error}.") from error
        self._run(self._read_answers)
        self._run(self._read_complaints)

    def ask(self, data, count, limit=None):
        """
        Args:
            data (`bytes`): `SCORE` lines.
            count (`int`): how many.
            limit (`float`, *optional*, defaults to `ANSWER_LIMIT`): seconds to wait for the first answer.

        Returns:
            `np.ndarray` of shape `(count, 23)`: the answers.
        """
        self._run(self._send, self._process.stdin, data)
        answers = []
        rest = b""
        limit = ANSWER_LIMIT if limit is None else limit
        while len(answers) < count:
            try:
                text = self._output.get(timeout=limit)
            except queue.Empty:
                raise self._error(f"was killed because it gave no answer for {limit:.3g} seconds") from None
            if not text:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(_GONE_LIMIT)  # for its exit status
                raise self._error("ended unexpectedly")
            *lines, rest = (rest + text).split(b"\n")
            answers += lines
            limit = ANSWER_LIMIT
        try:
            return _parse(answers, rest, count)
        except ValueError as error:
            raise self._error(f"was killed because of a wrong answer, {error}") from None

    def end(self):
        """Kills the process and waits for what belongs to it. There is nothing it could lose."""
        self._kill()
        self.forget()
        if self._table_folder is not None:
            self._table_folder.cleanup()

    def forget(self):
        """Closes the pipes. In a forked child that is all: the process belongs to the parent."""
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
                pipe.close()
        if self._table_pipe is not None:
            self._table_pipe.close()

    def _kill(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join(_GONE_LIMIT)

    def _error(self, what):
        status = self._process.poll()
        self._kill()
        said = self._complaints.decode(errors="replace").strip()
        how = "" if status is None else f" with exit status {status}"
        return MeteorError(f"METEOR {what}{how}. Java said: {said or 'nothing'}")

    def _run(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments, name="meteor", daemon=True)
        self._threads = [running for running in self._threads if running.is_alive()] + [thread]
        thread.start()

    def _send_table(self, data):
        with self._table_pipe as pipe:
            self._send(pipe, data)

    @staticmethod
    def _send(pipe, data):
        data = memoryview(data)
        try:
            while data:
                data = data[pipe.write(data) :]
        except OSError:
            pass  # Java is gone, which shows where its answers are read

    def _read_answers(self):
        while text := self._process.stdout.read(1 << 16):
            self._output.put(text)
        self._output.put(b"")

    def _read_complaints(self):
        while text := self._process.stderr.read(1 << 16):
            self._complaints = (self._complaints + text)[-_TAIL:]


def _parse(answers, rest, count):
    wrong = [line for line in answers if line.count(b" ") != STATISTICS - 1]
    wrong += answers[count:] or ([rest] if rest else [])
    if wrong:
        raise ValueError(repr(wrong[0][:200].decode(errors="replace")))
    return np.array(b" ".join(answers).split(), np.float64).reshape(count, STATISTICS)

"""The driver's end of a peer's process: one JSON line out, one JSON line back; a process that died is started again for the next kernel."""

import json
import subprocess
from pathlib import Path
from typing import IO

Reply = dict[str, object]


class PeerProcess:
    def __init__(
        self, peer: str, python: str, threads: int, root: Path, log: IO[str], device: str, worker: str = "benchmarks.worker"
    ) -> None:
        self.peer = peer
        self._command = [python, "-u", "-m", worker]
        self._threads = threads
        self._root = root
        self._log = log
        self._device = device
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> Reply:
        """Start the process and the peer in it: its versions, or why it cannot run."""
        try:
            self._process = subprocess.Popen(
                self._command, cwd=self._root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True
            )
        except OSError as error:
            return {"missing": f"cannot start {self._command[0]}: {error}"}
        return self._exchange({"do": "start", "peer": self.peer, "threads": self._threads, "device": self._device})

    def ask(self, **request: object) -> Reply:
        """One request; where the process has died since the last one it is started afresh first."""
        if self._process is None:
            reply = self.start()
            if "versions" not in reply:
                return {"failed": f"did not start again: {reply}"}
        return self._exchange(request)

    def close(self) -> None:
        """End the process: it leaves its loop when its input ends."""
        if self._process is None:
            return
        process, self._process = self._process, None
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _exchange(self, request: Reply) -> Reply:
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._process = None
            return {"failed": f"the peer's process died with exit status {process.wait()}"}
        reply = json.loads(line)
        assert isinstance(reply, dict)
        return reply

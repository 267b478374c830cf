"""A container of the image, made by bubblewrap as a runtime makes one for a pod that the chart describes."""

import json
import os
import select
import signal
import subprocess

# How long anything is waited for. Only a test that fails waits that long.
PATIENCE = 60


def command(image, mounts=None, environment=None):
    """The entry point of the image as the user of the image: nothing of it is said a second time here."""
    user, group = image.config["config"]["User"].split(":")
    words = ["bwrap", "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--as-pid-1", "--die-with-parent",
             "--uid", user, "--gid", group, "--cap-drop", "ALL", "--clearenv"]
    for setting in image.config["config"].get("Env", []):
        words += ["--setenv", *setting.split("=", 1)]
    for name, value in (environment or {}).items():
        words += ["--setenv", name, value]
    words += ["--ro-bind", str(image.root), "/", "--proc", "/proc", "--dev", "/dev"]
    for inside, outside in (mounts or {}).items():
        words += ["--ro-bind", str(outside), inside]
    # A runtime, too, makes the places where it mounts something.
    for inside in ["/proc", "/dev", *(mounts or {})]:
        place = image.root / inside.removeprefix("/")
        if (mounts or {}).get(inside) is not None and mounts[inside].is_file():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
        else:
            place.mkdir(parents=True, exist_ok=True)
    return words, image.config["config"]["Entrypoint"]


def run(image, *arguments, **surroundings):
    """Exit code, standard output and standard error of a run that ends by itself."""
    words, entry_point = command(image, **surroundings)
    done = subprocess.run([*words, "--", *entry_point, *arguments], capture_output=True, text=True, timeout=PATIENCE)
    return done.returncode, done.stdout, done.stderr


class Running:
    """A container that runs until it is told to end; at the latest at the end of the `with` block."""

    def __init__(self, image, *arguments, **surroundings):
        words, entry_point = command(image, **surroundings)
        self._log = open(image.scratch / "log", "w+")
        reader, writer = os.pipe()
        self._bwrap = subprocess.Popen([*words, "--json-status-fd", str(writer), "--", *entry_point, *arguments],
                                       pass_fds=[writer], stdout=self._log, stderr=subprocess.STDOUT)
        os.close(writer)
        # Stays open: bubblewrap says there, too, how it ended, and would die of saying it to nobody.
        self._status = os.fdopen(reader)
        assert select.select([self._status], [], [], PATIENCE)[0], "bubblewrap says nothing"
        self.pid = json.loads(self._status.readline())["child-pid"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._bwrap.kill()
        self._bwrap.wait()
        self._status.close()
        self._log.close()

    def log(self):
        self._log.flush()
        with open(self._log.name) as log:
            return log.read()

    def status(self, field):
        """A field of /proc/PID/status, as it is seen from outside."""
        with open(f"/proc/{self.pid}/status") as lines:
            return next(line.split()[1] for line in lines if line.startswith(field + ":"))

    def user(self):
        """Who it is inside."""
        with open(f"/proc/{self.pid}/uid_map") as lines:
            return lines.read().split()

    def is_running(self):
        assert self._bwrap.poll() is None, f"it has ended with {self._bwrap.returncode}"
        return True

    def terminate(self):
        """Its exit code after SIGTERM, which is how a kubelet ends it."""
        os.kill(self.pid, signal.SIGTERM)
        return self._bwrap.wait(PATIENCE)

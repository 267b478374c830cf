"""Runs the commands of one page, in their order and in a folder of their own, against the stand-in API server."""

import pathlib
import re
import shlex
import shutil
import subprocess
import time

import commands
import places
from cluster import LONG, Cluster, Process
from stand_in import binary, environment
from wrong import Wrong

HERE = pathlib.Path(__file__).parent
# What the stand-in cannot do; such a command is looked at, and not run.
_KUBECTL_NEEDS_KUBELETS = {"logs", "exec", "cp", "attach", "debug", "top", "proxy"}
_SERVES = re.compile(r"^plimsoll (apiserver|run|extender|--config|--kubeconfig)\b")
_READY = {"apiserver": r"serving Kubernetes .* on ", "run": r": leading lease=|SHADOW MODE", "extender": "serving as an extender"}


class NotRun(Exception):
    """Why a command was not run."""


class Session:
    def __init__(self, page, scratch, helm):
        self.helm = helm
        self.folder = pathlib.Path(scratch) / re.sub(r"\W+", "-", str(page.path))
        self.folder.mkdir()
        (self.folder / "tmp").mkdir()
        for entry in pathlib.Path().resolve().iterdir():
            if entry.name not in (".git", "target", "dist"):
                (self.folder / entry.name).symlink_to(entry)
        shutil.copytree(HERE / "files", self.folder, dirs_exist_ok=True)
        tools = self.folder / "tools"
        tools.mkdir()
        (tools / "plimsoll").symlink_to(binary())
        path = environment()["PATH"]
        self.env = environment(HOME=str(self.folder), NO_COLOR="1", PATH=f"{tools}:{path}")
        self.state = self.folder / "state"
        self.state.write_text("")
        self.ports = dict(zip(places.PORTS, places.free_ports(len(places.PORTS))))
        self.installs = any("helm install RELEASE" in block.text or "helm install plimsoll " in block.text
                            for block in page.blocks)
        self.cluster, self.scheduler, self.served = None, None, []
        self.output = ""
        # Whether something that a block needs is not installed on this machine.
        self.lacks = False
        # By release: its values, for what is upgraded with --reuse-values.
        self.releases = {}

    def end(self):
        for process in reversed(self.served):
            process.end()
        if self.cluster:
            self.cluster.close()

    def run(self, command, partly):
        """Runs a command; raises NotRun where it needs something that is not here, which is wrong unless `partly`."""
        commands.check(command)
        if command == commands.STOP:
            self.served.pop().end()
            return
        ready = self._here(command)
        parts = list(commands.parts(ready))
        for name in ("kubectl", "curl"):
            # Also within $(...).
            if re.search(rf"(?<![\w/.-]){name}\s", ready) and not shutil.which(name):
                self.lacks = True
                raise NotRun(f"{name} is not installed".upper())
        if why := self._why_not(parts):
            if not partly:
                raise Wrong(f"cannot be run by a test ({why}): mark the block as needing a cluster")
            raise NotRun(why)
        if _SERVES.match(ready):
            self._serve(ready)
        elif parts[0][0] == "helm":
            self._cluster()
            self.helm.run(self, parts[0][1:])
        else:
            if self._needs_cluster(ready, parts):
                self._cluster()
            self._shell(ready)

    def _here(self, command):
        """The command as it is run: placeholders filled in, ports and folders of this session."""
        ready = places.fill(command)
        for port, own in self.ports.items():
            ready = re.sub(rf"(?<!\d){port}(?!\d)", str(own), ready)
        ready = re.sub(r"(?<![\w.])/tmp/", f"{self.folder}/tmp/", ready)
        if "port-forward" in ready:
            # The ports are on this machine already. What they would be forwarded to has to be there; pods have drawn names.
            ready = re.sub(r"port-forward (?:(pod)/)?(\S+)[^&]*&?", lambda match: f"get {match[1] or match[2]}", ready)
        return ready

    def _why_not(self, parts):
        for words in parts:
            name, arguments = words[0], words[1:]
            if name == "kubectl":
                verbs = [word for word in arguments if not word.startswith("-")]
                if unable := _KUBECTL_NEEDS_KUBELETS & set(verbs):
                    return f"kubectl {unable.pop()} needs kubelets"
                if any(word.startswith("/debug/api_priority") for word in verbs):
                    return "the stand-in does not tell of its queues"
            elif name == "helm":
                if not self.helm.can(arguments) or len(parts) > 1:
                    return "of helm only install, upgrade and uninstall are run"
            elif name in ("make", "cargo", "kind", "docker", "podman", "buildah", "skopeo", "promtool", "git"):
                return f"{name} is not run"
        return None

    def _needs_cluster(self, ready, parts):
        if "KUBECONFIG=" in self.state.read_text() or "--kubeconfig" in ready:
            return False
        names = {words[0] for words in parts}
        live = any(words[:2] == ["plimsoll", "explain"] and not {"-f", "--scenarios", "--pod", "--filename"} & set(words)
                   for words in parts)
        return "kubectl" in names or live or ("curl" in names and not self.served)

    def _cluster(self):
        """The cluster that pages speak of without making it: nodes, workloads, the release, and who schedules."""
        if self.cluster:
            return
        self.cluster = Cluster(manifests=[HERE / "cluster.yaml", HERE / "kinds.yaml"])
        self.scheduler = self.cluster.run(HERE / "both-schedulers.yaml", f"127.0.0.1:{self.ports[10251]}", self.ports[10259])
        self.env["KUBECONFIG"] = str(self.cluster.path)
        if not self.installs:
            self.helm.run(self, shlex.split(places.fill("install RELEASE charts/plimsoll -n NS --set image.repository=REGISTRY/plimsoll")))
            self.cluster.until("the release's pods run", lambda: [
                pod for pod in self.cluster.pods(namespace=places.PLACEHOLDERS["NS"]) if pod["status"].get("phase") == "Running"])

    def _serve(self, ready):
        words = next(iter(commands.parts(ready)))[1:]
        kind = words[0] if not words[0].startswith("-") else "run"
        given = {word.split("=")[0] for word in words}
        more = {
            "apiserver": {"--listen": "127.0.0.1:0"},
            "run": {"--http-address": "127.0.0.1:0", "--bind-address": "127.0.0.1", "--secure-port": str(self.ports[10259])},
            "extender": {"--bind-address": "127.0.0.1", "--port": str(self.ports[8888])},
        }[kind]
        for flag, value in more.items():
            if flag not in given:
                words += [flag, value]
        if "scheduler.conf" in words:
            self._cluster()
            shutil.copy(self.cluster.path, self.folder / "scheduler.conf")
        if kind == "run" and self.scheduler:
            # The page shows how the release is run; two of them would want the same ports.
            self.scheduler.end()
            self.scheduler = None
        process = Process(words, self.folder / f"served-{len(self.served)}.log", self.folder,
                          self.env | self._variables())
        self.served.append(process)
        process.said(_READY[kind])

    def _variables(self):
        done = subprocess.run(["bash", "-c", f". {shlex.quote(str(self.state))}; env -0"], env=self.env, capture_output=True, text=True,
                              check=True)
        return dict(one.split("=", 1) for one in done.stdout.split("\0") if one)

    def _shell(self, ready):
        state = shlex.quote(str(self.state))
        if "rollout restart" in ready:
            # kubectl wants a second between two of them.
            time.sleep(1.1)
        # Nothing found is an answer, too.
        nothing = 1 if list(commands.parts(ready))[-1][0] == "grep" else 0
        script = f"set -a -o pipefail; . {state}; {{ {ready.rstrip().rstrip('&')}\n}}; code=$?; export -p > {state}; exit $code"
        done = subprocess.run(["bash", "-c", script], cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=LONG,
                              stdin=subprocess.DEVNULL)
        self.output = done.stdout + done.stderr
        if done.returncode not in (0, nothing):
            raise Wrong(f"exit code {done.returncode} of\n{ready}\n{self.output[-2000:]}")

    def shows(self, text, command):
        """Whether the last command prints what the page shows. What a cluster says is asked for until it does."""
        end = time.monotonic() + LONG
        while missing := _missing(text, self.output):
            if not re.match(r"^(kubectl|curl|plimsoll explain)\b", command) or time.monotonic() > end:
                raise Wrong(f"{command!r} does not print the line\n{missing}\nbut\n{self.output[-3000:]}")
            time.sleep(0.2)
            self._shell(self._here(command))


def _missing(text, output):
    """The first line shown that the output does not have behind those before it. `...` stands for anything."""
    lines = iter([" ".join(line.split()) for line in output.splitlines()])
    for shown in text.splitlines():
        wanted = " ".join(shown.split())
        if wanted in ("", "..."):
            continue
        pattern = re.compile(".*".join(re.escape(part) for part in wanted.split("...")))
        if not any(pattern.fullmatch(line) for line in lines):
            return shown
    return None

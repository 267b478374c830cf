"""What is around a pod: the stand-in API server, DNS, and an extender behind a Service's name."""

import base64
import http.server
import json
import os
import re
import socket
import ssl
import struct
import subprocess
import threading
import time
import urllib.error
import urllib.request

from box import PATIENCE

PORT = 6443
EXTENDER = "extender.kube-system.svc"


def until(what, condition):
    """Waits for a condition; gives what it gave."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {PATIENCE} s in vain for {what}")


def answer(url, **options):
    """The status of a GET; None where nobody listens yet."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE, **options) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return None


class StandIn:
    """`plimsoll apiserver`, over HTTPS."""

    def __init__(self, folder):
        kubeconfig = folder / "kubeconfig.yaml"
        program = os.environ.get("PLIMSOLL_TOOLS", "target/release/plimsoll")
        self._log = open(folder / "stand-in.log", "w")
        self._process = subprocess.Popen([program, "apiserver", "--tls", "--nodes", "3", "--listen", f"127.0.0.1:{PORT}",
                                          "--write-kubeconfig", str(kubeconfig)], stdout=self._log, stderr=self._log)
        until("the stand-in's kubeconfig", lambda: kubeconfig.exists() and "users:" in kubeconfig.read_text())
        text = re.search(r"certificate-authority-data: (\S+)", kubeconfig.read_text())[1]
        self.authority = base64.b64decode(text).decode()
        self._trust = ssl.create_default_context(cadata=self.authority)
        until("the stand-in", lambda: answer(f"https://127.0.0.1:{PORT}/readyz", context=self._trust))

    def close(self):
        self._process.terminate()
        self._process.wait(PATIENCE)
        self._log.close()

    def call(self, method, path, body=None):
        request = urllib.request.Request(f"https://127.0.0.1:{PORT}{path}", method=method,
                                         data=json.dumps(body).encode() if body else None,
                                         headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=PATIENCE, context=self._trust) as response:
            return json.load(response)


class Dns:
    """A server on port 53 that knows one Service. It notes what it is asked."""

    def __init__(self):
        self.asked = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            query, sender = self._socket.recvfrom(512)
            labels, at = [], 12
            while query[at]:
                labels.append(query[at + 1:at + 1 + query[at]].decode())
                at += 1 + query[at]
            name, (kind,) = ".".join(labels), struct.unpack(">H", query[at + 1:at + 3])
            self.asked.append(name)
            known = name == f"{EXTENDER}.cluster.local"
            # An address for type A; of a known name there is nothing else, an unknown one does not exist.
            record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 5, 4) + bytes([127, 0, 0, 1]) if known and kind == 1 else b""
            head = query[:2] + struct.pack(">HHHHH", 0x8180 if known else 0x8183, 1, 1 if record else 0, 0, 0)
            self._socket.sendto(head + query[12:at + 5] + record, sender)


class Extender:
    """Lets pods on one node only."""

    def __init__(self, node):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                names = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["NodeNames"]
                body = json.dumps({"NodeNames": [name for name in names if name == node]}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://{EXTENDER}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

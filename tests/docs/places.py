"""What stands for something in the commands of the documentation, and what the tests put in its place."""

import random
import re
import socket

from wrong import Wrong

# A word of capitals in a command is a placeholder for the reader to fill in.
PLACEHOLDERS = {
    "NS": "plimsoll",
    "RELEASE": "plimsoll",
    "REGISTRY": "registry.example.com",
    "TAG": "0.1.0",
    "NAMESPACE": "shop",
    "POD": "large",
    "POD_NS": "default",
    "VERB": "list",
    "RESOURCE": "nodes",
    "NODE": "node-1",
    "DEPLOYMENT": "cart",
    "ACCOUNT": "reader",
    "LEADER": "plimsoll",
    "FILE": "scheduler.yaml",
    "DIR": "recording",
}
# Words of capitals that stand for themselves.
_THEMSELVES = {"PUT", "POST", "GET", "EOF", "NAME", "INFO", "WARN", "ERROR", "AGE", "STATUS", "PATH"}
# Ports that the documentation names; each page gets free ones instead.
PORTS = (8001, 8888, 10251, 10259)

_WORD = re.compile(r"(?<![\w$.{-])([A-Z][A-Z_]*[A-Z])(?![\w=]|:\.)")


def fill(command):
    def value(match):
        word = match[1]
        if word in PLACEHOLDERS:
            return PLACEHOLDERS[word]
        if word in _THEMSELVES:
            return word
        raise Wrong(f"{word} is no placeholder that tests/docs/places.py knows")

    return _WORD.sub(value, command)


def free_ports(number):
    """Ports that nobody listens on, all different. Not of those that the system gives to whoever asks for any: it might give one
    away again before it is used."""
    sockets = []
    while len(sockets) < number:
        one = socket.socket()
        try:
            one.bind(("127.0.0.1", random.randrange(20_000, 32_000)))
            sockets.append(one)
        except OSError:
            one.close()
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports

"""Helm, called as a library. run.sh sets the environment that it needs."""

import ctypes
import json
import os

_lib = ctypes.CDLL(os.environ["HELM_ENGINE"])
_lib.helm_sdkpy_last_error.restype = ctypes.c_char_p
_lib.helm_sdkpy_free.argtypes = [ctypes.c_void_p]
_HANDLE = ctypes.c_ulonglong
_OPTIONS = json.dumps({"wait": False, "timeout_seconds": 20}).encode()


class Refused(Exception):
    """Helm's own message."""


def _call(function, *arguments):
    out = ctypes.c_char_p()
    if function(*arguments, ctypes.byref(out)) != 0:
        raise Refused(_lib.helm_sdkpy_last_error().decode())
    text = out.value.decode()
    _lib.helm_sdkpy_free(out)
    return json.loads(text)


class Helm:
    """One namespace of one cluster. Every instance has releases of its own."""

    def __init__(self, api, namespace):
        self.handle = _HANDLE()
        code = _lib.helm_sdkpy_config_create(namespace.encode(), api.kubeconfig().encode(), None, b"{}",
                                             ctypes.byref(self.handle))
        if code != 0:
            raise Refused(_lib.helm_sdkpy_last_error().decode())

    def install(self, release, chart, values):
        return _call(_lib.helm_sdkpy_install, self.handle, release.encode(), chart.encode(), json.dumps(values).encode(),
                     b"", _OPTIONS)

    def upgrade(self, release, chart, values):
        return _call(_lib.helm_sdkpy_upgrade, self.handle, release.encode(), chart.encode(), json.dumps(values).encode(),
                     b"", _OPTIONS)

    def uninstall(self, release):
        return _call(_lib.helm_sdkpy_uninstall, self.handle, release.encode(), 0, 20)

    def test(self, release):
        """Runs the hooks of `helm test`; Refused where one of them fails."""
        return _call(_lib.helm_sdkpy_test, self.handle, release.encode())

    def lint(self, chart):
        return _call(_lib.helm_sdkpy_lint, self.handle, chart.encode())

"""Drives a headless Chromium by its DevTools protocol, with nothing but Python's standard library."""

import base64
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import urllib.request

import page
from wire import WebSocket

# What Chromium answers when a page is left while it is asked something.
LEAVING = ("Inspected target navigated or closed", "Execution context was destroyed", "Cannot find default execution context")
NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]


def find():
    """The path of the browser, or None."""
    chosen = os.environ.get("TOMOLENS_CHROMIUM")
    if chosen:
        return chosen
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Browser:
    def __init__(self, path, width=1500, height=950):
        self.profile = tempfile.mkdtemp(prefix="tomolens-browser-")
        arguments = [
            path, "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={self.profile}",
            f"--window-size={width},{height}", "--no-first-run", "--disable-extensions", "--disable-gpu",
            "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-background-networking",
            "--force-device-scale-factor=1", "--lang=en", "--disable-dev-shm-usage", "about:blank",
        ]
        if os.geteuid() == 0:
            arguments.insert(1, "--no-sandbox")
        self.log = open(os.path.join(self.profile, "log"), "wb")
        self.process = subprocess.Popen(arguments, stdout=self.log, stderr=self.log)
        port = pathlib.Path(self.profile, "DevToolsActivePort")
        deadline = time.time() + 60
        while not (port.exists() and port.read_text().strip()):
            if time.time() > deadline or self.process.poll() is not None:
                raise RuntimeError(pathlib.Path(self.profile, "log").read_text(errors="replace")[-2000:])
            time.sleep(0.05)
        self.port = int(port.read_text().split()[0])

    def page(self, **options):
        """A tab with a memory of its own."""
        version = json.load(urllib.request.urlopen(f"http://127.0.0.1:{self.port}/json/version"))
        connection = WebSocket(version["webSocketDebuggerUrl"])

        def call(method, **parameters):
            connection.send(json.dumps({"id": 1, "method": method, "params": parameters}))
            while True:
                message = json.loads(connection.receive(60))
                if message.get("id") == 1:
                    return message["result"]

        context = call("Target.createBrowserContext")["browserContextId"]
        target = call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        page = Page(f"ws://127.0.0.1:{self.port}/devtools/page/{target}", **options)

        def leave():
            call("Target.disposeBrowserContext", browserContextId=context)
            connection.socket.close()

        # The tab goes with its context, also while it is on its way to another page.
        page.leave = leave
        return page

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.profile, ignore_errors=True)


class Page(page.Page):
    """One tab: what it logs, what it asks the network for, and hands to use it with."""

    is_chromium = True

    def __init__(self, address, language="en"):
        self.connection = WebSocket(address)
        self.number = 0
        self.errors = []
        self.requests = []
        for domain in ["Page", "Runtime", "Network", "Log"]:
            self.call(f"{domain}.enable")
        self.call("Emulation.setLocaleOverride", locale=language)

    def call(self, method, **parameters):
        self.number += 1
        number = self.number
        self.connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        deadline = time.time() + 120
        while time.time() < deadline:
            message = self._next(1)
            if message and message.get("id") == number:
                if "error" in message:
                    left = message["error"]["message"].startswith(LEAVING)
                    raise (page.Leaving if left else RuntimeError)(f"{method}: {message['error']}")
                return message["result"]
        raise TimeoutError(method)

    def _next(self, timeout):
        text = self.connection.receive(timeout)
        if text is None:
            return None
        message = json.loads(text)
        method = message.get("method")
        parameters = message.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(a.get("value", a.get("description"))) for a in parameters["args"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.errors.append(parameters["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Page.javascriptDialogOpening":
            self.errors.append("a dialog: " + parameters["message"])
        return message

    def open(self, path):
        """Opens a file and waits until it says that it can be used; the seconds from navigation to then."""
        self.errors.clear()
        self.requests.clear()
        self.call("Page.navigate", url=pathlib.Path(path).resolve().as_uri())
        self.wait("['ready', 'failed'].includes(document.documentElement?.dataset.state)", 60)
        return self.run("(performance.getEntriesByName('ready')[0] || {}).startTime / 1000")

    def run(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise RuntimeError(f"{expression}: {details.get('exception', {}).get('description', details['text'])}")
        return result["result"].get("value")

    def mouse(self, kind, x, y, button="none", buttons=0, **more):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, buttons=buttons, **more)

    def wheel(self, x, y, amount, modifiers=0):
        self.mouse("mouseWheel", x, y, deltaX=0, deltaY=amount, modifiers=modifiers)

    def key(self, key, modifiers=0):
        code = {
            "ArrowUp": 38, "ArrowDown": 40, "ArrowLeft": 37, "ArrowRight": 39, "PageUp": 33, "PageDown": 34, "Home": 36,
            "End": 35, "Enter": 13, "Tab": 9, "Escape": 27, " ": 32,
        }.get(key, ord(key[0].upper()))
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, modifiers=modifiers, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code, modifiers=modifiers)

    def resize(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2, mobile=False)

    def pdf(self):
        return base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"])

    def screenshot(self, path):
        pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
        data = self.call("Page.captureScreenshot", format="png")["data"]
        pathlib.Path(path).write_bytes(base64.b64decode(data))

    def close(self):
        self.connection.socket.close()
        self.leave()

"""Drives a Firefox by WebDriver BiDi, which it speaks by itself, with nothing but Python's standard library.

Without a screen Firefox has no WebGL2. Where Xvfb is, it gets a screen in memory, and Mesa's software renderer draws.
"""

import base64
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

import page
from wire import WebSocket

NAMES = ["firefox-esr", "firefox"]
# A browser that keeps to itself.
SETTINGS = {
    "app.update.disabledForTesting": True, "browser.shell.checkDefaultBrowser": False, "browser.startup.page": 0,
    "browser.startup.homepage_override.mstone": "ignore", "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.reportingpolicy.firstRun": False, "browser.safebrowsing.enabled": False,
    "network.captive-portal-service.enabled": False, "network.connectivity-service.enabled": False,
    "extensions.update.enabled": False, "messaging-system.rsexperimentloader.enabled": False,
    "remote.active-protocols": 1, "webgl.force-enabled": True, "layout.css.devPixelsPerPx": "1.0",
    "intl.accept_languages": "en",
}
# WebDriver's names of keys that write nothing.
KEYS = {
    "ArrowLeft": "\ue012", "ArrowUp": "\ue013", "ArrowRight": "\ue014", "ArrowDown": "\ue015", "PageUp": "\ue00e",
    "PageDown": "\ue00f", "End": "\ue010", "Home": "\ue011", "Enter": "\ue007", "Tab": "\ue004", "Escape": "\ue00c",
}
MODIFIERS = {1: "\ue00a", 2: "\ue009", 8: "\ue008"}
BUTTONS = {"left": 0, "middle": 1, "right": 2}


def find():
    """The path of the browser, or None."""
    chosen = os.environ.get("TOMOLENS_FIREFOX")
    if chosen:
        return chosen
    return next((path for path in map(shutil.which, NAMES) if path), None)


def plain(value):
    """A value of the page as Python's."""
    kind, content = value["type"], value.get("value")
    if kind == "array":
        return [plain(item) for item in content]
    if kind == "object":
        return {key: plain(item) for key, item in content}
    if kind == "number" and isinstance(content, str):
        return float(content.replace("Infinity", "inf"))
    return content if kind in ("string", "number", "boolean") else None


class Browser:
    def __init__(self, path, width=1500, height=950):
        self.size = {"width": width, "height": height}
        self.profile = tempfile.mkdtemp(prefix="tomolens-firefox-")
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in SETTINGS.items()]
        pathlib.Path(self.profile, "user.js").write_text("\n".join(lines) + "\n")
        log = pathlib.Path(self.profile, "log")
        self.log = open(log, "wb")
        self.screen = None
        surroundings = {**os.environ, "HOME": self.profile}
        if shutil.which("Xvfb"):
            reading, writing = os.pipe()
            self.screen = subprocess.Popen(
                ["Xvfb", "-displayfd", str(writing), "-screen", "0", f"{width + 100}x{height + 250}x24", "-nolisten", "tcp"],
                pass_fds=[writing], stdout=self.log, stderr=self.log)
            os.close(writing)
            with os.fdopen(reading) as number:
                surroundings["DISPLAY"] = ":" + number.readline().strip()
        else:
            surroundings["MOZ_HEADLESS"] = "1"
        self.process = subprocess.Popen(
            [path, "--no-remote", "--profile", self.profile, "--remote-debugging-port", "0", "about:blank"],
            stdout=self.log, stderr=self.log, env=surroundings)
        deadline = time.time() + 90
        while not (found := re.search(r"WebDriver BiDi listening on (ws://\S+)", log.read_text(errors="replace"))):
            if time.time() > deadline or self.process.poll() is not None:
                raise RuntimeError(log.read_text(errors="replace")[-2000:])
            time.sleep(0.1)
        self.connection = WebSocket(found.group(1) + "/session")
        self.number = 0
        self.pages = {}
        self.call("session.new", capabilities={})
        self.call("session.subscribe", events=["log.entryAdded", "network.beforeRequestSent"])

    def call(self, method, **parameters):
        self.number += 1
        number = self.number
        self.connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        deadline = time.time() + 120
        while time.time() < deadline:
            message = self.next(1)
            if message and message.get("id") == number:
                if message["type"] == "error":
                    raise RuntimeError(f"{method}: {message['error']}: {message['message']}")
                return message["result"]
        raise TimeoutError(method)

    def next(self, timeout):
        text = self.connection.receive(timeout)
        if text is None:
            return None
        message = json.loads(text)
        parameters = message.get("params", {})
        context = parameters.get("context") or parameters.get("source", {}).get("context")
        page = self.pages.get(context)
        if page and message.get("method") == "log.entryAdded" and parameters["level"] in ("error", "warn"):
            page.errors.append(parameters.get("text") or str(parameters))
        elif page and message.get("method") == "network.beforeRequestSent":
            page.requests.append(parameters["request"]["url"])
        return message

    def page(self):
        """A tab with a memory of its own."""
        return Page(self)

    def close(self):
        self.connection.socket.close()
        for process in filter(None, [self.process, self.screen]):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.log.close()
        shutil.rmtree(self.profile, ignore_errors=True)


class Page(page.Page):
    """One tab: what it logs, what it asks the network for, and hands to use it with."""

    def __init__(self, browser):
        self.browser = browser
        self.errors = []
        self.requests = []
        self.user = browser.call("browser.createUserContext")["userContext"]
        self.context = browser.call("browsingContext.create", type="tab", userContext=self.user)["context"]
        browser.pages[self.context] = self
        self.call("browsingContext.setViewport", viewport=browser.size)

    def call(self, method, **parameters):
        return self.browser.call(method, context=self.context, **parameters)

    def _next(self, timeout):
        return self.browser.next(timeout)

    def open(self, path):
        """Opens a file and waits until it says that it can be used; the seconds from navigation to then."""
        self.errors.clear()
        self.requests.clear()
        self.call("browsingContext.navigate", url=pathlib.Path(path).resolve().as_uri(), wait="complete")
        self.wait("['ready', 'failed'].includes(document.documentElement.dataset.state)", 60)
        return self.run("(performance.getEntriesByName('ready')[0] || {}).startTime / 1000")

    def run(self, expression):
        result = self.browser.call(
            "script.evaluate", target={"context": self.context}, awaitPromise=True, expression=expression,
            serializationOptions={"maxDomDepth": 0})
        if result["type"] == "exception":
            raise RuntimeError(f"{expression}: {result['exceptionDetails']['text']}")
        return plain(result["result"])

    def resize(self, width, height):
        self.call("browsingContext.setViewport", viewport={"width": width, "height": height})

    def pdf(self):
        return base64.b64decode(self.call("browsingContext.print", background=True)["data"])

    def act(self, kind, actions, modifiers=0):
        keys = [value for bit, value in MODIFIERS.items() if modifiers & bit]

        def hold(what):
            if keys:
                self.call("input.performActions", actions=[
                    {"type": "key", "id": "modifiers", "actions": [{"type": what, "value": key} for key in keys]}])

        hold("keyDown")
        self.call("input.performActions", actions=[{"type": kind, "id": kind, "actions": actions}])
        hold("keyUp")

    def key(self, key, modifiers=0):
        value = KEYS.get(key, key)
        self.act("key", [{"type": "keyDown", "value": value}, {"type": "keyUp", "value": value}], modifiers)

    def mouse(self, kind, x, y, button="none", buttons=0, modifiers=0, **more):
        actions = [{"type": "pointerMove", "x": x, "y": y}]
        if kind != "mouseMoved":
            what = "pointerDown" if kind == "mousePressed" else "pointerUp"
            actions.append({"type": what, "button": BUTTONS[button]})
        self.act("pointer", actions, modifiers)

    def wheel(self, x, y, amount, modifiers=0):
        self.act(
            "wheel", [{"type": "scroll", "x": round(x), "y": round(y), "deltaX": 0, "deltaY": round(amount)}], modifiers)

    def screenshot(self, path):
        pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
        pathlib.Path(path).write_bytes(base64.b64decode(self.call("browsingContext.captureScreenshot")["data"]))

    def close(self):
        del self.browser.pages[self.context]
        self.browser.call("browsingContext.close", context=self.context)
        self.browser.call("browser.removeUserContext", userContext=self.user)

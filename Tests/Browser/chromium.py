"""Drives a headless Chromium by its DevTools protocol, with nothing but Python's standard library."""

import base64
import json
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import time
import urllib.request

NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]


def find():
    """The path of the browser, or None."""
    chosen = os.environ.get("TOMOLENS_CHROMIUM")
    if chosen:
        return chosen
    return next((path for path in map(shutil.which, NAMES) if path), None)


class WebSocket:
    """A client for one local WebSocket (RFC 6455): text messages, whole or in fragments."""

    def __init__(self, address):
        host, port, path = re.fullmatch(r"ws://([^:/]+):(\d+)(/.*)", address).groups()
        self.socket = socket.create_connection((host, int(port)))
        self.buffer = b""
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            (
                f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
            ).encode()
        )
        while b"\r\n\r\n" not in self.buffer:
            self.buffer += self.socket.recv(4096)
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise RuntimeError(head.decode(errors="replace"))

    def _frame(self, opcode, payload):
        length = len(payload)
        if length < 126:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | length)
        elif length < 1 << 16:
            head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, length)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, length)
        # A mask of zeros is a mask: the content is its own.
        self.socket.sendall(head + b"\0\0\0\0" + payload)

    def send(self, text):
        self._frame(1, text.encode())

    def _take(self, count):
        while len(self.buffer) < count:
            received = self.socket.recv(1 << 20)
            if not received:
                raise ConnectionError("the browser closed the connection")
            self.buffer += received
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def receive(self, timeout):
        """The next text message; None after `timeout` seconds without one."""
        message = b""
        while True:
            self.socket.settimeout(timeout)
            try:
                first, second = self._take(2)
            except (TimeoutError, socket.timeout):
                return None
            self.socket.settimeout(60)
            length = second & 127
            if length == 126:
                (length,) = struct.unpack("!H", self._take(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", self._take(8))
            payload = self._take(length)
            opcode = first & 15
            if opcode == 8:
                raise ConnectionError("the browser closed the connection")
            if opcode == 9:
                self._frame(10, payload)
                continue
            message += payload
            if first & 0x80:
                return message.decode()


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

        # The context lives as long as this connection.
        context = call("Target.createBrowserContext")["browserContextId"]
        target = call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        page = Page(f"ws://127.0.0.1:{self.port}/devtools/page/{target}", **options)
        page.context = connection
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


class Page:
    """One tab: what it logs, what it asks the network for, and hands to use it with."""

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
                    raise RuntimeError(f"{method}: {message['error']}")
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

    def listen(self, seconds):
        deadline = time.time() + seconds
        while time.time() < deadline:
            self._next(max(0.01, deadline - time.time()))

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

    def wait(self, expression, seconds=20):
        deadline = time.time() + seconds
        while not self.run(expression):
            if time.time() > deadline:
                raise TimeoutError(f"{expression} (errors so far: {self.errors})")
            self.listen(0.03)

    def frames(self, count=2):
        """Lets the page draw."""
        self.run(
            f"new Promise((done) => {{ let left = {count}; const next = () => left-- ? requestAnimationFrame(next) : done(true); next(); }})"
        )

    def box(self, selector):
        return self.run(
            f"(() => {{ const b = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            " return [b.left, b.top, b.width, b.height]; })()"
        )

    def mouse(self, kind, x, y, button="none", buttons=0, **more):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, buttons=buttons, **more)

    def move(self, x, y):
        self.mouse("mouseMoved", x, y)

    def click(self, selector):
        self.run(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{ block: 'nearest' }})")
        left, top, width, height = self.box(selector)
        x, y = left + width / 2, top + height / 2
        self.move(x, y)
        self.mouse("mousePressed", x, y, "left", 1, clickCount=1)
        self.mouse("mouseReleased", x, y, "left", 0, clickCount=1)

    def drag(self, start, end, button="left", modifiers=0, steps=6):
        number = {"left": 1, "right": 2, "middle": 4}[button]
        self.move(*start)
        self.mouse("mousePressed", *start, button, number, clickCount=1, modifiers=modifiers)
        for step in range(1, steps + 1):
            x = start[0] + (end[0] - start[0]) * step / steps
            y = start[1] + (end[1] - start[1]) * step / steps
            self.mouse("mouseMoved", x, y, button, number, modifiers=modifiers)
        self.mouse("mouseReleased", *end, button, 0, clickCount=1, modifiers=modifiers)

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

    def set(self, selector, value):
        """Gives a range, number or select field a value, as a hand would: with its events."""
        self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.value = {json.dumps(str(value))};"
            " e.dispatchEvent(new Event('input', { bubbles: true })); e.dispatchEvent(new Event('change', { bubbles: true })); })()"
        )

    def pixels(self, selector):
        """A fingerprint of a canvas."""
        return self.run(
            "(() => { const c = document.querySelector(%s); if (!c.width) return 0; const d = document.createElement('canvas');"
            " d.width = c.width; d.height = c.height; const x = d.getContext('2d'); x.drawImage(c, 0, 0);"
            " const p = new Uint32Array(x.getImageData(0, 0, d.width, d.height).data.buffer); let h = 2166136261;"
            " for (const v of p) h = Math.imul(h ^ v, 16777619); return h >>> 0; })()" % json.dumps(selector)
        )

    def screenshot(self, path):
        pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
        data = self.call("Page.captureScreenshot", format="png")["data"]
        pathlib.Path(path).write_bytes(base64.b64decode(data))

    def close(self):
        try:
            self.call("Page.close")
        except (ConnectionError, OSError):
            pass
        self.connection.socket.close()
        self.context.socket.close()

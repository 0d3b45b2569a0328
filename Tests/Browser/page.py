"""Hands and eyes for one tab, whichever browser shows it."""

import json
import time


class Leaving(RuntimeError):
    """The page was on its way to another one, and the browser dropped the question."""


class Page:
    """What needs nothing but `run` (an expression's value), `mouse` (one event) and `_next` (the browser's next message)."""

    is_chromium = False

    def wait(self, expression, seconds=20):
        """Until the expression is true, on this page or on the one that it leads to."""
        deadline = time.time() + seconds

        def holds():
            try:
                return self.run(expression)
            except Leaving:
                return False

        while not holds():
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

    def listen(self, seconds):
        deadline = time.time() + seconds
        while time.time() < deadline:
            self._next(max(0.01, deadline - time.time()))

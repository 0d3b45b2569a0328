"""The review pages in Firefox: the tests of test_pages that need nothing of one browser alone, and what only Firefox may lack.

Run by script/test-browser where Firefox is.
"""

import unittest

import firefox
import test_pages


def setUpModule():
    test_pages.browser = firefox.Browser(firefox.find())
    test_pages.SHOTS = test_pages.SHOTS / "firefox"


def tearDownModule():
    test_pages.browser.close()


if firefox.find() is not None:

    class Loading(test_pages.Loading):
        def test_has_what_the_page_needs(self):
            self.open("oblique")
            self.assertIn("Firefox", self.page.run("navigator.userAgent"))
            self.assertEqual(self.page.run("typeof DecompressionStream"), "function")

    class Pointer(test_pages.Pointer):
        pass

    class Controls(test_pages.Controls):
        pass

    class Space(test_pages.Space):
        """Skipped where this Firefox has no WebGL2: without a screen, and without Xvfb."""

    class Access(test_pages.Access):
        pass

    class Folder(test_pages.Folder):
        pass


if __name__ == "__main__":
    unittest.main(verbosity=2)

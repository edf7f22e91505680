"""A library that was built without pixels, as `make lib-lean` does:

    IMGTASK_LIBRARY=build/lib-lean/libimgtask.so python3 -m unittest tests.lean
"""

import imgtask

from .support import WithSandbox


class WithoutPixels(WithSandbox):
    def test_what_needs_pixels_says_which_feature_is_missing(self) -> None:
        client = self.client()
        picture = client.download(client.wait(client.submit(prompt="a cup [duration:0]")))
        with self.assertRaisesRegex(imgtask.Unsupported, "makes no pixels: build the library with the feature `decode`"):
            picture.rgba()
        with self.assertRaisesRegex(imgtask.Unsupported, "makes no pixels: build the library with the feature `decode`"):
            client.start(goal="pixels", prompt="a cup")
        self.assertEqual(picture.data[:4], b"\x89PNG")

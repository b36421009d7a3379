# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with an image."""


class ImageLoadError(ValueError):
    """An image cannot be used. The message names the image and says what would be right.

    The base of every error that loading raises on purpose: `ImageFileNotFoundError` is also a
    `FileNotFoundError`, `ImageIsADirectoryError` an `IsADirectoryError`, `ImageTypeError` a `TypeError`.
    """


class ImageFileNotFoundError(ImageLoadError, FileNotFoundError):
    """A path where there is no file."""


class ImageIsADirectoryError(ImageLoadError, IsADirectoryError):
    """A folder where an image file is expected."""


class ImageTypeError(ImageLoadError, TypeError):
    """An object that is no image at all, such as `None` or a list."""

"""Small audio files, as the tests of the data path write them."""

from tests.data.conftest import cache, write

__all__ = ["cache", "write"]

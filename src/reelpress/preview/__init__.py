"""What a page shows of a whole video before anything of it is cut: a small copy, thumbnails, sound, cuts."""

from reelpress.preview.making import make_preview, preview_bytes_at_most, read_preview
from reelpress.preview.model import Preview, Sprites

__all__ = ["Preview", "Sprites", "make_preview", "preview_bytes_at_most", "read_preview"]

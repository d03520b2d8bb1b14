"""How much one client may ask for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What is refused beyond it.

    Attributes:
        body_bytes: of one request.
        body_seconds: that one may take to arrive.
        image_bytes: of one uploaded image.
        search_images, added_images: in one request.
        searched_persons: in one request.
        erased_crops: named one by one in one request.
        form_fields: of a form, files not counted; the search page sends one for each attribute.
        field_bytes: of one field that is not a file.
        requests_per_second: of one address in the long run.
        burst: of one address at once.
    """

    body_bytes: int = 20_000_000
    body_seconds: float = 120.0
    image_bytes: int = 10_000_000
    search_images: int = 16
    added_images: int = 256
    searched_persons: int = 256
    erased_crops: int = 1000
    form_fields: int = 2000
    field_bytes: int = 64_000
    requests_per_second: float = 20.0
    burst: int = 60
